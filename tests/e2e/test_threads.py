# SPDX-License-Identifier: Apache-2.0
"""-mode threads on real processes: every stack, every wait and owner, deadlocks, hard days, core files."""

import ctypes
import glob
import os
import re
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from harness import ATTACH, Footprint, HangFS, Process, Profile, Target, TempDir, attach, go_pprof, in_system_calls, main, need, need_namespaces, run, target_path  # noqa: E402

HEADER = re.compile(r'^thread (\d+) "([^"]*)" \[(.*)\]:$')

# name of the thread -> how its wait is called; the function that waits is wait_for_NAME
WAITS = {
    "mutex": r"mutex 0x\w+ held by \d+ \"holder\"",
    "recursive": r"recursive mutex 0x\w+ held by \d+ \"holder\"",
    "errorcheck": r"errorcheck mutex 0x\w+ held by \d+ \"holder\"",
    "adaptive": r"adaptive mutex 0x\w+ held by \d+ \"holder\"",
    "pi": r"PI mutex 0x\w+ held by \d+ \"holder\"",
    "robust": r"robust mutex 0x\w+ held by \d+ \"holder\"",
    "shared": r"mutex 0x\w+ held by \d+ \"holder\"",
    "timed": r"mutex 0x\w+ held by \d+ \"holder\" with a timeout",
    "rdlock": r"rwlock read 0x\w+ held by \d+ \"holder\"",
    "wrlock": r"rwlock write 0x\w+ held by \d+ \"holder\"",
    "wrlock2": r"rwlock write 0x\w+ held by 1 reader",
    "cond": r"condvar 0x\w+",
    "condtimed": r"condvar 0x\w+",
    "sem": r"semaphore 0x\w+",
    "barrier": r"barrier 0x\w+",
    "join": r"join of \d+ \"holder\"",
    "sleep": r"clock_nanosleep",
    "read": r"read",
    "poll": r"p?poll",
    "epoll": r"epoll_p?wait",
}


class Thread:
    def __init__(self, tid, name, about):
        self.tid, self.name, self.about, self.functions, self.lines, self.notes = int(tid), name, about, [], [], []


def parse(text):
    """The threads of -text, up to the deadlocks; by name (the last one of a name)."""
    threads, current = [], None
    for line in text.split("\n"):
        match = HEADER.match(line)
        if line.startswith("deadlock:"):
            break
        if match:
            current = Thread(*match.groups())
            threads.append(current)
        elif line.endswith("(...)"):
            current.functions.append(line[:-5])
        elif line.startswith("\t"):
            current.lines.append(line[1:])
        elif line.startswith("("):
            current.notes.append(line)
    return threads


def by_name(threads):
    return {thread.name: thread for thread in threads}


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


SYSCALLS = {"x86_64": {"ptrace": 101, "perf_event_open": 298, "bpf": 321},
            "aarch64": {"ptrace": 117, "perf_event_open": 241, "bpf": 280}}[os.uname().machine]


def denying(*names):
    """A preexec_fn: from now on these system calls fail with EPERM, by a seccomp filter (seccomp(2), <linux/filter.h>)."""
    code = [(0x20, 0, 0, 0)]  # load the number
    for name in names:
        code += [(0x15, 0, 1, SYSCALLS[name]), (0x06, 0, 0, 0x00050000 | 1)]  # if it is this one: errno 1
    code.append((0x06, 0, 0, 0x7FFF0000))  # else allow
    filters = b"".join(struct.pack("<HBBI", *insn) for insn in code)

    def install():
        libc = ctypes.CDLL(None, use_errno=True)
        buffer = ctypes.create_string_buffer(filters)
        program = struct.pack("<HxxxxxxQ", len(code), ctypes.addressof(buffer))
        libc.prctl(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
        if libc.prctl(22, 2, program, 0, 0) != 0:  # PR_SET_SECCOMP, a filter
            os._exit(99)

    return install


class Threads(TempDir):
    def text(self, pid, *more, status=0, **how):
        result = attach("-mode", "threads", "-p", pid, "-text", *more, **how)
        self.assertEqual(result.returncode, status, result.stderr)
        self.err = result.stderr
        return result.stdout

    def check_complete(self, threads, expect=None):
        for thread in threads:
            if expect and thread.name not in expect:
                continue
            self.assertFalse(thread.notes, f"{thread.name}: {thread.notes}")
            self.assertIn(thread.functions[-1], ("_start", "clone3", "__clone3", "__GI___clone3", "clone"),
                          f"{thread.name}: {thread.functions}")

    # ---- stacks, waits, owners ----

    def every_primitive(self, means):
        with Target(["lockers", "all"]) as target:
            before = Footprint(target.pid)
            threads = parse(self.text(target.pid, "-means", means, "-v"))
            before.check_unchanged(self)
            self.assertIn("0 stops", self.err)
            self.assertEqual(len(threads), len(os.listdir(f"/proc/{target.pid}/task")))
            self.check_complete(threads)
            found = by_name(threads)
            for name, about in WAITS.items():
                with self.subTest(means=means, thread=name):
                    self.assertRegex(found[name].about, f"^{about}, ")
                    self.assertIn(f"wait_for_{name}", found[name].functions)
                    at = found[name].functions.index(f"wait_for_{name}")
                    self.assertEqual(found[name].functions[at + 1], f"waiter_{name}")
            self.assertIn("run_all_the_time", found["busy"].functions)
            self.assertRegex(found["busy"].about, "^running, R, ")
            self.assertIn("hold_everything", found["holder"].functions)
            self.assertRegex(found["holder"].about, r"\b11 waiting for it")
            self.assertRegex("\n".join(found["mutex"].lines), r"lockers\.c:\d+ \+0x")

    def test_every_primitive_is_told_by_the_bpf_iterator(self):
        if os.geteuid() != 0:
            self.skipTest("a BPF program needs root")
        self.every_primitive("bpf")
        self.assertRegex(self.err, r"registers by bpf 2\d, proc 0")

    def test_every_primitive_is_told_by_proc_alone(self):
        self.every_primitive("proc")
        self.assertRegex(self.err, r"registers by bpf 0, proc 2\d")

    def test_frame_pointers_that_proc_does_not_tell_are_found(self):
        """-O0 code finds every frame through rbp, of which /proc/PID/task/TID/syscall says nothing."""
        with Target(["lockers_O0", "all"]) as target:
            threads = parse(self.text(target.pid, "-means", "proc"))
            self.check_complete(threads)
            found = by_name(threads)
            for name in WAITS:
                at = found[name].functions.index(f"wait_for_{name}")
                self.assertEqual(found[name].functions[at + 1], f"waiter_{name}")
            if os.geteuid() == 0:
                exact = by_name(parse(self.text(target.pid, "-means", "bpf")))
                for name in WAITS:
                    self.assertEqual(found[name].functions, exact[name].functions)

    def test_a_deep_stack_is_whole(self):
        with Target(["lockers", "deep"]) as target:
            thread = by_name(parse(self.text(target.pid)))["deep"]
            self.assertEqual(thread.functions.count("go_deep"), 301)
            self.check_complete([thread])

    def test_the_time_waited_is_the_time_waited(self):
        """It grows, and is never longer than the process is old. It may be short: time stolen from a processor does not count."""
        start = time.monotonic()
        with Target(["lockers", "self"]) as target:
            waited = 0
            while waited < 1.2:
                about = by_name(parse(self.text(target.pid)))["twice"].about
                match = re.search(r", (?:(\d+\.\d)s|(\d+)ms), S, ", about)
                if match:
                    waited = float(match.group(1) or int(match.group(2)) / 1000)
                self.assertLessEqual(waited, time.monotonic() - start + 0.1, about)
                self.assertLess(time.monotonic() - start, 60, about)

    # ---- deadlocks ----

    def test_deadlocks_are_found_and_told(self):
        expected = {
            "abba": (2, ["ring-0", "ring-1"], "  1 more wait behind them"),
            "three": (3, ["ring-0", "ring-1", "ring-2"], None),
            "pi": (3, ["ring-0", "ring-1", "ring-2"], None),
            "pirobust": (2, ["ring-0", "ring-1"], None),
            "rwlock": (2, ["writer", "reader"], None),
            "self": (1, ["twice"], None),
        }
        ways = ["auto", "proc", "ptrace"] if os.geteuid() == 0 else ["auto"]
        for what, (n, names, behind) in expected.items():
            with Target(["lockers", what]) as target:
                for means in ways:
                    with self.subTest(what=what, means=means):
                        text = self.text(target.pid, "-exit-code", "-means", means, status=10)
                        told = text[text.index("deadlock:"):]
                        head = ("a thread waits for a lock that it holds itself" if n == 1 else
                                f"{n} threads wait for each other")
                        self.assertIn(head, told.split("\n")[0])
                        self.assertEqual(len(re.findall(r"^  thread \d+ ", told, re.M)), n)
                        self.assertEqual({t.name for t in parse(told.split("\n\n", 1)[1])}, set(names))
                        if behind:
                            self.assertIn(behind, told)
                        self.assertRegex(self.err, r"(?m)^warning: (deadlock|.*holds itself).*\n  thread \d+ ")
                self.text(target.pid, status=0)

    def test_what_may_be_a_deadlock_for_all_that_the_locks_tell_is_said_to_be_so(self):
        with Target(["lockers", "readers"]) as target:
            text = self.text(target.pid, "-exit-code", "-repeat", "3", "-every", "1100ms")
            self.assertNotIn("deadlock", text)
            said = re.findall(r"(?m)^warning: 2 threads wait for rwlocks, up to .* \(\d+ \"upgrader\", \d+ \"upgrader\"\): .*"
                              r"whether this is a deadlock cannot be confirmed$", self.err)
            self.assertEqual(len(said), 1, self.err)

    def test_a_deadlock_is_found_with_each_c_library(self):
        for name in ("ring_plain", "ring_musl"):
            if not os.path.exists(target_path(name)):
                self.skipTest(f"{name} was not built: musl-tools is not installed")
            with self.subTest(name), Target([name]) as target:
                text = self.text(target.pid, "-exit-code", status=10)
                told = text[text.index("deadlock:"):]
                self.assertEqual(len(re.findall(r"^  thread \d+ .* waits for recursive mutex 0x\w+ held by", told, re.M)), 2)
                self.assertEqual(told.count("take_other(...)"), 2)

    def test_what_only_looks_like_a_deadlock_is_none(self):
        with Target(["lockers", "lookalike"]) as target:
            for means in ["auto", "proc"] * 5:
                text = self.text(target.pid, "-exit-code", "-means", means)
                self.assertNotIn("deadlock:", text)
            found = by_name(parse(text))
            self.assertIn("with a timeout", found["gives-up"].about)
            self.assertIn('held by', found["patient"].about)
            self.assertIn('held by', found["chain-waiter"].about)
            self.text(target.pid, "-repeat", "2", "-every", "1100ms")
            self.assertNotIn("confirmed", self.err)

    def test_a_lock_whose_owner_has_ended_is_told(self):
        with Target(["lockers", "gone"]) as target:
            text = self.text(target.pid, "-exit-code")
            self.assertRegex(by_name(parse(text))["mutex"].about, r"^mutex 0x\w+ held by \d+, which has ended")
            self.assertNotIn("deadlock:", text)

    # ---- nobody notices ----

    def test_200_threads_are_read_without_a_stop_or_an_eintr(self):
        target = Target(["lockers", "crowd", "200"])
        self.addCleanup(target.process.kill)
        before = Footprint(target.pid)
        for means in ("auto", "proc") * 3:
            threads = parse(self.text(target.pid, "-means", means, "-v"))
            self.assertIn("; 0 stops", self.err)
            self.assertEqual(len(threads), 201)
            self.check_complete(threads)
            for thread in threads:
                if thread.name.startswith("crowd-"):
                    self.assertEqual(thread.functions.count("crowd_level"), 5, thread.functions)
        before.check_unchanged(self)
        self.assertIn("eintr 0\n", target.close())

    @unittest.skipUnless(os.geteuid() == 0, "the BPF iterator needs root")
    def test_the_second_look_knows_what_the_first_had_to_find_out(self):
        """Names in debug information, and the layout of the kernel's structures, take longer than all else."""
        env = dict(os.environ, HOME=self.dir)
        env.pop("XDG_CACHE_HOME", None)
        cache, stacks = self.path(".cache/cprof"), []
        with Target(["lockers", "three"]) as target:  # nobody runs, so there is nothing new to be seen
            deadline = time.monotonic() + 60
            while "running" in in_system_calls(target.pid):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)
            for _ in range(2):
                out = self.path("threads.pb.gz")
                result = attach("-p", target.pid, "-mode", "threads", "-f", "-o", out, env=env)
                self.assertEqual(result.returncode, 0, result.stderr)
                stacks.append(sorted(stack for stack, _, _ in Profile.read(out).samples))
                kept = {name: os.stat(os.path.join(cache, name)).st_mtime_ns for name in os.listdir(cache)}
                self.assertIn("task_struct.layout", kept)
                self.assertTrue([name for name in kept if name.endswith(".names")], kept)
                # The target itself has debug information: what is known of it is used again, and not written anew.
                if len(stacks) == 1:
                    inodes = {name: os.stat(os.path.join(cache, name)).st_ino for name in kept}
            self.assertEqual({name: os.stat(os.path.join(cache, name)).st_ino for name in kept}, inodes)
        self.assertEqual(stacks[0], stacks[1])

    def test_consistent_stops_all_and_says_what_that_does(self):
        if os.geteuid() != 0:
            self.skipTest("tracing may need root")
        target = Target(["lockers", "crowd", "100"])
        self.addCleanup(target.process.kill)
        before = Footprint(target.pid)
        threads = parse(self.text(target.pid, "-consistent"))
        self.assertEqual(len(threads), 101)
        self.check_complete(threads)
        self.assertRegex(self.err, r"warning: 101 threads of \d+ were stopped, .*EINTR")
        before.check_unchanged(self)
        # This is why it is not the default: epoll_wait and sigtimedwait came back with EINTR.
        self.assertGreater(int(re.search(r"eintr (\d+)", target.close()).group(1)), 0)

    def test_a_killed_consistent_run_leaves_everybody_running(self):
        if os.geteuid() != 0:
            self.skipTest("tracing may need root")
        with Target(["lockers", "crowd", "300"]) as target:
            for i in range(12):
                process = subprocess.Popen([ATTACH, "-mode", "threads", "-p", str(target.pid), "-text", "-consistent"],
                                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                time.sleep(0.015 + 0.004 * i)
                process.kill()
                process.wait()
            for path in glob.glob(f"/proc/{target.pid}/task/*/status"):
                with open(path) as file:
                    status = file.read()
                self.assertRegex(status, r"TracerPid:\s+0\n")
                self.assertNotRegex(status, r"State:\s+[tT] ")

    # ---- snapshots in a row ----

    def test_repeat_marks_the_threads_that_do_not_move(self):
        with Target(["lockers", "abba"]) as target:
            text = self.text(target.pid, "-repeat", "3", "-every", "300ms")
            self.assertEqual(re.findall(r"^=== process \d+ \"lockers\", snapshot (\d) of 3 ===$", text, re.M), ["1", "2", "3"])
            parts = [thread for thread in parse(text.replace("deadlock:", "again:")) if thread.name == "queued"]
            self.assertEqual(len(parts), 3)
            self.assertNotIn("stuck", parts[0].about)
            stuck = [re.search(r"stuck for (\d+ms|\d+\.\ds)", part.about).group(1) for part in parts[1:]]
            stuck_ms = [int(text[:-2]) if text.endswith("ms") else 1000 * float(text[:-1]) for text in stuck]
            # No sooner than asked for; a busy machine may be late.
            self.assertTrue(200 <= stuck_ms[0] < stuck_ms[1], stuck)
            self.assertTrue(600 <= stuck_ms[1] < 20000, stuck)

    def test_two_processes_in_one_run(self):
        path = self.path("two.pb.gz")
        with Target(["lockers", "self"]) as one, Target(["lockers", "abba"]) as two:
            text = self.text(f"{one.pid},{two.pid}", "-o", path, "-v")
            for target in (one, two):
                self.assertIn(f"threads of {target.pid}: ", self.err)
            n = sum(len(os.listdir(f"/proc/{target.pid}/task")) for target in (one, two))
            pids = {one.pid, two.pid}
        self.assertEqual(text.count("=== process "), 2)
        self.assertIn("lock_twice(", text)
        self.assertIn("take_next(", text)
        profile = Profile.read(path)
        self.assertEqual(profile.total(), n)
        self.assertEqual({labels["pid"] for _, _, labels in profile.samples}, pids)

    def test_a_command_is_refused(self):
        result = attach("-mode", "threads", "-text", "--", "sleep", "1")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn("-p PID", result.stderr)

    # ---- forms of output ----

    def test_the_profile_has_a_sample_for_each_thread(self):
        path = self.path("threads.pb.gz")
        with Target(["lockers", "abba"]) as target:
            result = attach("-mode", "threads", "-p", target.pid, "-o", path)
            self.assertEqual(result.returncode, 0, result.stderr)
            n = len(os.listdir(f"/proc/{target.pid}/task"))
        profile = Profile.read(path)
        self.assertEqual(profile.sample_types, [("threads", "count")])
        self.assertEqual(profile.total(), n)
        found = {labels["thread"]: (stack, labels) for stack, _, labels in profile.samples}
        stack, labels = found["ring-0"]
        self.assertIn("take_next", stack)
        self.assertEqual(labels["state"], "sleeping")
        self.assertEqual(labels["wait"], "mutex")
        self.assertEqual(labels["owner_tid"], found["ring-1"][1]["tid"])
        self.assertEqual(labels["deadlock"], 1)
        self.assertNotIn("deadlock", found["queued"][1])
        self.assertTrue(any("deadlock: 2 threads" in comment for comment in profile.comments), profile.comments)
        top = run([*go_pprof(), "-top", "-nodecount=3", path])
        self.assertEqual(top.returncode, 0, top.stderr)
        self.assertIn("Type: threads", top.stdout)

    def test_text_and_a_file_in_one_run(self):
        path = self.path("both.pb.gz")
        with Target(["lockers", "crowd", "8"]) as target:
            text = self.text(target.pid, "-o", path)
        self.assertEqual(len(parse(text)), Profile.read(path).total())

    def test_text_alone_writes_no_file(self):
        with Target(["lockers", "crowd", "4"]) as target:
            self.text(target.pid, cwd=self.dir)
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_reader_that_goes_away_is_no_failure(self):
        path = self.path("head.pb.gz")
        with Target(["lockers", "crowd", "400"]) as target:
            for more in ([], ["-o", path], ["-repeat", "1000", "-every", "10ms"]):
                process = subprocess.Popen([ATTACH, "-mode", "threads", "-p", str(target.pid), "-text", "-q", *more],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                process.stdout.readline()
                process.stdout.close()
                err = process.stderr.read()
                self.assertEqual(process.wait(timeout=60), 0)
                self.assertEqual(err, "")
        self.assertEqual(Profile.read(path).total(), 401)

    def test_group_puts_equal_stacks_together(self):
        with Target(["lockers", "crowd", "40"]) as target:
            text = self.text(target.pid, "-group")
        # How long they have waited follows, from a millisecond on: these have just begun.
        groups = re.findall(r"^(\d+) threads \[(\w+)", text, re.M)
        self.assertEqual(sorted(n for n, _ in groups), ["10", "10", "10", "10"])
        self.assertIn("epoll_wait", dict((w, n) for n, w in groups))
        self.assertEqual(len(re.findall(r"^main\(", text, re.M)), 1)

    def test_goroutine_headers_are_those_of_go(self):
        with Target(["lockers", "abba"]) as target:
            text = self.text(target.pid, "-text-format", "goroutines")
        blocks = text.strip().split("\n\n")
        self.assertEqual(len(blocks), 4)
        for block in blocks:
            lines = block.split("\n")
            self.assertRegex(lines[0], r"^goroutine \d+ \[[^\]]+\]:$")
            for name, place in zip(lines[1::2], lines[2::2]):
                self.assertTrue(name.endswith("(...)"), block)
                self.assertRegex(place, r"^\t\S.*?(:\d+)?( \+0x[0-9a-f]+)?$")

    def test_bad_options_are_refused(self):
        for args, word in ((["-means", "magic"], "-means"), (["-text-format", "json"], "-text-format"),
                           (["-exit-code=300"], "-exit-code"), (["-repeat", "0"], "-repeat"),
                           (["-exe", "/bin/true"], "-core")):
            result = attach("-mode", "threads", "-p", os.getpid(), *args)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(word, result.stderr)
        result = attach("-mode", "cpu", "-text", "-p", os.getpid())
        self.assertEqual(result.returncode, 2, result.stderr)

    # ---- hard days ----

    def test_job_stopped_threads_have_stacks_and_stay_stopped(self):
        target = Target(["lockers", "crowd", "20"])
        self.addCleanup(target.process.kill)
        os.kill(target.pid, signal.SIGSTOP)
        try:
            def states():
                for path in glob.glob(f"/proc/{target.pid}/task/*/stat"):
                    with open(path) as file:
                        yield file.read().rsplit(")", 1)[1].split()[0]

            for more in ([], ["-means", "proc"], ["-consistent"]):
                while set(states()) != {"T"}:
                    time.sleep(0.01)
                threads = parse(self.text(target.pid, *more))
                self.assertEqual(len(threads), 21)
                self.check_complete(threads)
                for thread in threads:
                    self.assertRegex(thread.about, r"^stopped in \w+.*, T, ")
                self.assertEqual(target.state(), "T")
        finally:
            os.kill(target.pid, signal.SIGCONT)
        target.close()

    def test_a_leader_that_has_ended_hides_nobody(self):
        with Target(["lockers", "leader"]) as target:
            while target.state() != "Z":
                time.sleep(0.01)
            for more in ([], ["-means", "proc"], ["-consistent"]):
                found = by_name(parse(self.text(target.pid, *more)))
                self.assertNotIn("faster", self.err)
                self.assertEqual(found["lockers"].functions, [])
                self.assertIn("ended", found["lockers"].about)
                self.assertIn("wait_for_sleep", found["sleep"].functions)
                self.assertIn("wait_for_epoll", found["epoll"].functions)
                self.check_complete([found["sleep"], found["epoll"]])

    def test_uninterruptible_threads_have_a_row_and_a_stack(self):
        target = Target(["lockers", "vfork"])
        self.addCleanup(target.process.kill)
        try:
            for more in ([], ["-means", "proc"], ["-consistent"]):
                found = by_name(parse(self.text(target.pid, *more)))
                self.assertRegex(found["vforker"].about, r", D, ")
                self.assertIn("wait_for_sleep", found["sleep"].functions)
                if more != ["-consistent"]:
                    self.assertIn("uninterruptible", found["vforker"].functions)
        finally:
            children = run(["pgrep", "-P", str(target.pid)]).stdout.split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            target.close()

    def hung_address_space(self):
        """A target on a file system that is about to hang: hung_unmap.c."""
        files = HangFS(self, self.path("mnt"))
        target = Target(["hung_unmap", os.path.join(files.where, "file")])
        self.addCleanup(target.process.communicate)
        self.addCleanup(target.process.kill)
        # First of all: whoever reads the memory of the target waits for it, also where no signal is heard.
        self.addCleanup(files.server.kill)
        return target, files.end

    def hang(self, target):
        target.process.stdin.write("h")
        target.process.stdin.flush()
        self.assertEqual(target.process.stdout.readline(), "hung\n")

    def finish(self, process, end):
        """Its output; one that hangs is given back before anything else is done, else nobody can end it."""
        out = [None, None]
        reader = threading.Thread(target=lambda: out.__setitem__(slice(None), process.communicate()))
        reader.start()
        reader.join(60)
        if reader.is_alive():
            end()
            process.kill()
            reader.join()
            self.fail("it hangs with its target")
        return out

    def test_a_locked_address_space_hangs_nobody_else(self):
        target, end = self.hung_address_space()
        self.hang(target)
        for more in ([], ["-means", "proc"], ["-consistent"]):
            with self.subTest(more=more):
                process = subprocess.Popen([ATTACH, "-mode", "threads", "-text", "-p", str(target.pid), *more],
                                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
                out, err = self.finish(process, end)
                self.assertEqual(process.returncode, 0, err)
                self.assertIn("its memory does not answer", err)
                found = by_name(parse(out))
                self.assertEqual(set(found), {"hung_unmap", "unmapper", "mapper"})
                self.assertRegex(found["unmapper"].about, "^munmap at .*, D, ")
                self.assertRegex(found["mapper"].about, "^mmap at .*, D, ")
                self.assertRegex(found["hung_unmap"].about, "^pause, .*S, ")
                self.assertTrue(all("memory" in thread.notes[0] for thread in found.values()), out)

    def test_an_address_space_that_is_locked_between_two_snapshots(self):
        target, end = self.hung_address_space()
        with open(self.path("out"), "w+") as out:
            process = subprocess.Popen([ATTACH, "-mode", "threads", "-text", "-p", str(target.pid), "-repeat", "4",
                                        "-every", "1s"], stdout=out, stderr=subprocess.PIPE, text=True)
            while not os.path.getsize(out.name) and process.poll() is None:
                time.sleep(0.01)
            self.hang(target)
            _, err = self.finish(process, end)
            out.seek(0)
            out = out.read()
        self.assertEqual(process.returncode, 0, err)
        snapshots = [by_name(parse(text)) for text in re.split(r"=== process .*", out)[1:]]
        self.assertEqual(len(snapshots), 4, out)
        self.assertIn("main", snapshots[0]["hung_unmap"].functions)
        self.assertRegex(snapshots[0]["mapper"].about, "^semaphore ")
        self.assertRegex(snapshots[3]["mapper"].about, "^mmap at .*, D, ")
        self.assertIn("memory", snapshots[3]["hung_unmap"].notes[0])
        self.assertEqual(err.count("its memory does not answer"), 1, err)

    def cgroup(self, *controls):
        """A new cgroup in each hierarchy that has one of these files: [(directory, path of the file)]."""
        found = []
        for top in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/freezer", "/sys/fs/cgroup/memory"):
            where = os.path.join(top, f"cprof-test-{os.getpid()}")
            try:
                os.mkdir(where)
            except OSError:
                continue
            self.addCleanup(os.rmdir, where)
            found += [(where, os.path.join(where, name)) for name in controls if os.path.exists(os.path.join(where, name))]
        if not found:
            self.skipTest(f"no cgroup with {' or '.join(controls)} can be made here")
        return found

    def wait_until_frozen(self, where, control):
        v2 = os.path.join(where, "cgroup.events")
        path, said = (v2, "frozen 1") if control.endswith("freeze") else (control, "FROZEN")
        deadline = time.monotonic() + 60
        while said not in open(path).read().split("\n"):
            self.assertLess(time.monotonic(), deadline, f"{path}: not {said}")
            time.sleep(0.01)

    def test_frozen_threads_have_their_waits_and_are_told_to_be_frozen(self):
        for where, control in self.cgroup("cgroup.freeze", "freezer.state"):
            frozen, thawed = ("FROZEN", "THAWED") if control.endswith("state") else ("1", "0")
            target = Target(["lockers", "abba"])
            self.addCleanup(target.process.kill)
            with open(os.path.join(where, "cgroup.procs"), "w") as file:
                file.write(str(target.pid))
            try:
                with open(control, "w") as file:
                    file.write(frozen)
                self.wait_until_frozen(where, control)
                for more in ([], ["-means", "proc"], ["-consistent"]):
                    with self.subTest(control=control, more=more):
                        text = self.text(target.pid, "-exit-code", *more, status=10)
                        self.assertIn("deadlock: 2 threads wait for each other", text)
                        self.assertRegex(by_name(parse(text))["lockers"].about, "^pause, frozen, ")
                        self.assertRegex(self.err, r"warning: process \d+ is frozen by its cgroup")
            finally:
                with open(control, "w") as file:
                    file.write(thawed)
                target.close()

    def test_a_process_that_is_killed_for_its_memory(self):
        """A dump of one that is about to die, dies meanwhile, or is half gone has rows, or says that it has ended."""
        where, limit = self.cgroup("memory.limit_in_bytes", "memory.max")[0]
        with open(limit, "w") as file:
            file.write(str(48 << 20))
        ended = 0
        for more in ([], ["-means", "proc"], ["-consistent"], ["-repeat", "50", "-every", "2ms"]) * 3:
            target = Target(["eater", os.path.join(where, "cgroup.procs")])
            self.addCleanup(target.process.kill)
            result = None
            while result is None or (result.returncode == 0 and target.alive()):
                result = attach("-mode", "threads", "-text", "-p", target.pid, *more)
                self.assertIn(result.returncode, (0, 3), result.stderr)
                for thread in parse(result.stdout):
                    self.assertTrue(thread.functions or thread.notes, result.stdout)
            ended += "ended" in result.stderr
            target.process.communicate(timeout=60)
            self.assertEqual(target.process.returncode, -signal.SIGKILL)
        self.assertGreater(ended, 0)

    def test_threads_that_come_and_go_disturb_nobody(self):
        with Target(["lockers", "exiting"]) as target:
            for means in ("auto", "proc") * 5:
                found = by_name(parse(self.text(target.pid, "-means", means)))
                self.assertIn("wait_for_sleep", found["sleep"].functions)
                self.check_complete([found["sleep"]])

    def test_all_are_stopped_together_also_while_threads_are_born(self):
        if os.geteuid() != 0:
            self.skipTest("tracing may need root")
        with Target(["lockers", "exiting"]) as target:
            for _ in range(8):
                found = by_name(parse(self.text(target.pid, "-consistent")))
                self.assertIn("wait_for_sleep", found["sleep"].functions)
                self.check_complete([found["sleep"]])
            with open(f"/proc/{target.pid}/status") as file:
                self.assertRegex(file.read(), r"TracerPid:\s+0\n")

    def test_2000_threads(self):
        try:
            target = Target(["lockers", "crowd", "2000"])
        except AssertionError:
            self.skipTest("2,000 threads cannot be started here")
        self.addCleanup(target.process.kill)
        for means in ("auto", "proc"):
            threads = parse(self.text(target.pid, "-means", means))
            self.assertEqual(len(threads), 2001)
            self.check_complete(threads)
        self.assertIn("eintr 0\n", target.close())

    def test_more_busy_threads_than_processors(self):
        with Target(["lockers", "busy", "12"]) as target:
            for means in ("auto", "proc"):
                threads = [t for t in parse(self.text(target.pid, "-means", means)) if t.name == "busy"]
                self.assertEqual(len(threads), 12)
                found = [thread for thread in threads if "run_all_the_time" in thread.functions]
                if means == "proc":  # nobody is stopped: one that is not let run in time is told of
                    self.assertTrue(found)
                    for thread in threads:
                        if thread not in found:
                            self.assertIn("no sample of it came in time", "\n".join([*thread.lines, *thread.notes]))
                else:
                    self.assertEqual(len(found), 12)

    def test_a_process_that_a_debugger_holds(self):
        libc = ctypes.CDLL(None, use_errno=True)
        libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
        held = []

        def hold(tid):
            if libc.ptrace(0x4206, tid, None, None) != 0:  # PTRACE_SEIZE
                self.skipTest("this user may not trace")
            self.assertEqual(libc.ptrace(0x4207, tid, None, None), 0)  # PTRACE_INTERRUPT
            os.waitpid(tid, 0x40000000)  # __WALL
            held.append(tid)

        with Target(["lockers", "self"]) as target:
            *others, last = (int(tid) for tid in os.listdir(f"/proc/{target.pid}/task"))
            try:
                hold(last)
                found = by_name(parse(self.text(target.pid)))
                self.assertIn("lock_twice", found["twice"].functions)
                self.assertRegex(found["twice"].about, ", t, ")
                found = by_name(parse(self.text(target.pid, "-consistent")))
                self.assertEqual(found["twice"].notes, ["(not stopped with the others: it cannot be traced)"])
                for tid in others:
                    hold(tid)
                result = attach("-mode", "threads", "-text", "-consistent", "-p", target.pid)
                self.assertEqual(result.returncode, 4, result.stderr)
                self.assertIn("is being traced by python", result.stderr)
            finally:
                for tid in held:
                    libc.ptrace(17, tid, None, None)  # PTRACE_DETACH

    def test_an_ordinary_user_and_own_process(self):
        if os.geteuid() != 0:
            self.skipTest("needs to be able to become somebody else")
        if not os.access(os.path.dirname(ATTACH), os.X_OK):
            self.skipTest("the build directory is private")
        with Target(["lockers", "all"], preexec_fn=as_nobody) as target:
            text = attach("-mode", "threads", "-p", target.pid, "-text", "-v", preexec_fn=as_nobody)
            self.assertEqual(text.returncode, 0, text.stderr)
            threads = parse(text.stdout)
            self.check_complete(threads)
            found = by_name(threads)
            for name in WAITS:
                self.assertIn(f"wait_for_{name}", found[name].functions)
            self.assertIn("run_all_the_time", found["busy"].functions)
            self.assertIn("; 0 stops", text.stderr)

    def test_what_may_not_be_stopped_does_not_hide_the_others(self):
        """As in a container whose seccomp filter denies bpf, perf_event_open and ptrace: nothing reaches a running thread."""
        denied = denying("bpf", "perf_event_open", "ptrace")
        with Target(["lockers", "all"]) as target:
            result = attach("-mode", "threads", "-p", target.pid, "-text", preexec_fn=denied)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn("warning: threads without a stack: ", result.stderr)
            self.assertIn("yama.ptrace_scope", result.stderr)
            found = by_name(parse(result.stdout))
            self.assertEqual(found["busy"].notes, ["(no stack: it cannot be traced)"])
            for name, about in WAITS.items():
                self.assertRegex(found[name].about, f"^{about}, ")
                self.assertIn(f"wait_for_{name}", found[name].functions)
            # With -consistent there is nothing to tell without stops.
            result = attach("-mode", "threads", "-p", target.pid, "-text", "-consistent", preexec_fn=denied)
            self.assertEqual(result.returncode, 4, result.stderr)

    def test_a_target_under_seccomp(self):
        with Target(["lockers", "abba"], preexec_fn=denying("bpf", "perf_event_open", "ptrace")) as target:
            for more in ([], ["-means", "proc"], ["-consistent"]):
                self.assertIn("deadlock: 2 threads", self.text(target.pid, "-exit-code", *more, status=10))

    def test_somebody_elses_process_is_refused_with_a_hint(self):
        if os.geteuid() != 0:
            self.skipTest("needs to be able to become somebody else")
        with Target(["lockers", "self"]) as target:
            result = attach("-mode", "threads", "-p", target.pid, "-text", preexec_fn=as_nobody)
            self.assertEqual(result.returncode, 4, result.stderr)
            self.assertIn("hint:", result.stderr)
            self.assertEqual(result.stdout, "")

    def test_owners_are_found_in_another_pid_namespace(self):
        need("unshare", "util-linux is not installed")
        if os.geteuid() != 0:
            self.skipTest("a pid namespace needs root")
        need_namespaces("--pid", "--fork")
        target = Target(["unshare", "--pid", "--fork", "--kill-child", target_path("lockers"), "abba"])
        try:
            inside = int(run(["pgrep", "-P", str(target.process.pid)]).stdout.split()[0])
            for means in ("auto", "proc"):
                text = self.text(inside, "-exit-code", "-means", means, status=10)
                self.assertIn("deadlock: 2 threads wait for each other", text)
                self.assertEqual({t.name for t in parse(text[text.index("deadlock:"):].split("\n\n", 1)[1])},
                                 {"ring-0", "ring-1"})
        finally:
            target.process.kill()
            target.process.communicate()

    def test_no_such_process(self):
        result = attach("-mode", "threads", "-text", "-p", 1 << 22)
        self.assertEqual(result.returncode, 3)

    def test_a_process_that_dies_meanwhile_ends_the_run(self):
        target = Target(["lockers", "crowd", "50"])
        self.addCleanup(target.process.kill)
        process = Process([ATTACH, "-mode", "threads", "-text", "-repeat", "1000", "-every", "50ms", "-p",
                           str(target.pid)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        first = process.stdout.readline()  # of the first snapshot
        target.process.kill()
        target.process.communicate()
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertGreater(len(parse(first + out)), 50)

    # ---- core files ----

    def core(self, target, what):
        """A core file of the running target: by the kernel, or by gcore."""
        if what == "gcore":
            need("gcore", "gdb is not installed")
            result = run(["gcore", "-o", self.path("core"), str(target.pid)])
            self.assertEqual(result.returncode, 0, result.stderr)
        else:
            target.process.send_signal(signal.SIGABRT)
            target.process.communicate(timeout=60)
        return glob.glob(self.path("core*"))[0]

    def kernel_core_target(self, *args):
        with open("/proc/sys/kernel/core_pattern") as file:
            pattern = file.read().strip()
        if pattern.startswith("|") or "/" in pattern:
            self.skipTest(f"kernel.core_pattern is {pattern}")

        def prepare():
            resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

        target = Target(["lockers", *args], cwd=self.dir, preexec_fn=prepare)
        self.addCleanup(target.process.kill)
        return target

    def check_core_all(self, path):
        result = attach("-mode", "threads", "-core", path, "-exe", target_path("lockers"), "-text")
        self.assertEqual(result.returncode, 0, result.stderr)
        threads = parse(result.stdout)
        self.check_complete(threads)
        found = [(thread.functions, thread.about) for thread in threads]
        for name, about in WAITS.items():
            about = about.replace("holder", "lockers")
            self.assertTrue(any(f"wait_for_{name}" in functions and re.match(about, text) for functions, text in found),
                            f"{name}: {result.stdout}")

    def test_a_core_file_of_the_kernel(self):
        target = self.kernel_core_target("all")
        self.check_core_all(self.core(target, "kernel"))

    def test_a_core_file_of_gcore(self):
        with Target(["lockers", "all"]) as target:
            path = self.core(target, "gcore")
        self.check_core_all(path)

    def test_a_deadlock_is_seen_in_a_core_file(self):
        path = self.core(self.kernel_core_target("three"), "kernel")
        out = self.path("core.pb.gz")
        result = attach("-mode", "threads", "-core", path, "-exit-code", "-text", "-o", out)
        self.assertEqual(result.returncode, 10, result.stderr)
        self.assertIn("deadlock: 3 threads wait for each other", result.stdout)
        self.assertIn("SIGABRT", result.stderr)
        profile = Profile.read(out)
        self.assertEqual(profile.total(), 4)
        self.assertTrue(profile.mappings[0]["file"].endswith("/lockers"), profile.mappings[0])
        self.assertEqual(sum(labels.get("deadlock", 0) for _, _, labels in profile.samples), 3)

    def test_a_core_file_that_is_cut_off(self):
        path = self.core(self.kernel_core_target("all"), "kernel")
        whole = os.path.getsize(path)
        result = attach("-mode", "threads", "-core", path, "-text")
        self.assertNotIn("cut off", result.stderr)
        stacks = []
        for share in (0.5, 0.2):
            os.truncate(path, int(whole * share))
            result = attach("-mode", "threads", "-core", path, "-text")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertIn(f"warning: the core file is cut off, {int(whole * share)} of ", result.stderr)
            threads = parse(result.stdout)
            self.assertEqual(len(threads), 23)
            stacks.append(sum(not thread.notes for thread in threads))
        self.assertGreater(stacks[0], stacks[1])
        os.truncate(path, 2000)
        result = attach("-mode", "threads", "-core", path, "-text")
        self.assertEqual(result.returncode, 1)
        self.assertIn("cut off", result.stderr)

    def test_another_program_than_the_cores_is_not_believed(self):
        path = self.core(self.kernel_core_target("self"), "kernel")
        result = attach("-mode", "threads", "-core", path, "-exe", target_path("hot"), "-text")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("build-id differs", result.stderr)
        self.assertNotIn("hash_blocks", result.stdout)

    def test_what_is_no_core_file_is_refused(self):
        with open(self.path("packed"), "wb") as file:
            file.write(b"\x28\xb5\x2f\xfd" + bytes(100))
        for path, status, word in ((self.path("missing"), 1, "missing"), (target_path("lockers"), 1, "not a core file"),
                                   (__file__, 1, "not a core file"), (self.path("packed"), 1, "zstd -d")):
            result = attach("-mode", "threads", "-text", "-core", path)
            self.assertEqual(result.returncode, status, f"{path}: {result.stderr}")
            self.assertIn(word, result.stderr)


if __name__ == "__main__":
    main()
