# SPDX-License-Identifier: Apache-2.0
# alone: it fills memory cgroups
"""What a target may afford, what it is run by, and what others left in it. Whatever is refused is refused with the reason, and the
target still works."""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import unittest

import harness
import heap_harness
from harness import ATTACH, Process, Target, TempDir, attach, need, run, target_path


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


def start_ticks(pid):
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[19])


def wait_until(what, fact, timeout=60):
    """Until `fact()` holds, which it will however busy the machine is."""
    deadline = time.monotonic() + timeout
    while not fact():
        if time.monotonic() > deadline:
            raise AssertionError(f"never came: {what}")
        time.sleep(0.005)


def ended(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except OSError:
        return True


@contextlib.contextmanager
def running(*argv, **popen):
    process = subprocess.Popen(argv, **popen)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


class Forged(TempDir):
    """The page by which a run is known lies in the target's memory, which may say anything."""

    def forge(self, pid, kind=""):
        need_root()
        pidns = os.stat("/proc/self/ns/pid").st_ino
        return Target(["forged_page", str(pid), str(start_ticks(pid)), str(pidns), kind])

    def ask(self, target):
        target.process.stdin.write("5\n")
        target.process.stdin.flush()
        self.assertEqual(target.process.stdout.readline(), "16 a word of data\n")

    def end(self, target):
        self.ask(target)
        target.close(check=False)

    def profile(self, pid):
        return attach("-p", pid, "-mode", "heap", "-seconds", "0.2", "-f", "-o", self.path("h.pb.gz"))

    def test_nobody_is_named_who_does_not_profile_it(self):
        with running("sleep", "60") as victim:
            target = self.forge(victim.pid)
            for done in (self.profile(target.pid), attach("-repair", target.pid)):
                self.assertNotRegex(done.stderr, rf"\b{victim.pid}\b")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.end(target)
            self.assertIsNone(victim.poll())

    def test_nobody_is_named_who_is_no_cprof_attach_though_he_has_it_open(self):
        if not hasattr(os, "pidfd_open"):
            self.skipTest("this Python has no pidfd_open")
        code = "import os, sys; os.pidfd_open(int(sys.stdin.readline())); print('open', flush=True); sys.stdin.read()"
        with running(sys.executable, "-c", code, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as victim:
            target = self.forge(victim.pid)
            victim.stdin.write(f"{target.pid}\n")
            victim.stdin.flush()
            self.assertEqual(victim.stdout.readline(), "open\n")
            for done in (self.profile(target.pid), attach("-repair", target.pid)):
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn("not known to be a cprof-attach", done.stderr)
                self.assertNotRegex(done.stderr, rf"\b{victim.pid}\b")
            self.end(target)
            victim.stdin.close()
            victim.stdout.close()

    def test_what_is_put_back_is_what_the_file_has(self):
        for kind, why in (("code", "other bytes"), ("data", "no code of a file"), ("version", "another version")):
            with self.subTest(kind), running("true") as gone:
                target = self.forge(gone.pid, kind)
                gone.wait()
                done = attach("-repair", target.pid)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(why, done.stderr)
                self.end(target)


class Namespaces(TempDir):
    """A run in another PID namespace: named by the id that it has here, or not at all."""

    def inside(self, *more):
        """A shell that starts a target and a heap profile of it in a PID namespace of their own."""
        need_root()
        need("unshare")
        if run(["unshare", "--pid", "--mount-proc", "--fork", "true"]).returncode:
            self.skipTest("no PID namespace can be made here")
        script = (f"{target_path('heap_truth')} <{self.path('in')} >{self.path('out')} & t=$!\n"
                  f"until grep -q ready {self.path('out')}; do sleep 0.01; done\n"
                  f"{ATTACH} -p $t -mode heap -seconds 0 -q -f -o {self.path('h.pb.gz')} & wait $!; wait")
        os.mkfifo(self.path("in"))
        outer = Process(["unshare", "--pid", "--mount-proc", "--fork", "sh", "-c", script])
        self.addCleanup(lambda: (outer.kill(), outer.wait()))
        self.feed = open(self.path("in"), "w")
        self.addCleanup(self.feed.close)
        shell = lambda: (harness.children(outer.pid) or [0])[0]
        target, tool = (self.child_of(shell, name) for name in ("heap_truth", "cprof-attach"))
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in (target, tool) if not ended(pid)])
        wait_until("the jumps", lambda: heap_harness.shim_pages(target) and heap_harness.tracer(target) == 0)
        harness.wait_for_window(type("Tool", (), {"pid": tool, "poll": staticmethod(lambda: None)}))
        return target, tool

    def child_of(self, shell, name):
        """The shell's child of that name, once it is there."""
        named = []

        def look():
            for pid in harness.children(shell()) if shell() else []:
                with contextlib.suppress(OSError):
                    if os.path.basename(os.readlink(f"/proc/{pid}/exe")) == name:
                        named.append(pid)
            return named

        wait_until(name, look)
        return named[0]

    def works(self, target):
        """It still answers: as often as asked."""
        count = lambda: open(self.path("out")).read().count("done")
        before = count()
        self.feed.write("mixed 100 1\n")
        self.feed.flush()
        wait_until("the target's answer", lambda: count() > before or ended(target))
        self.assertFalse(ended(target))

    def test_a_living_one_is_named_as_seen_from_here_and_ends_by_the_hint(self):
        target, tool = self.inside()
        done = attach("-repair", target)
        self.assertEqual(done.returncode, 4, done.stderr)
        self.assertIn(f"by PID {tool}\n", done.stderr)
        self.assertTrue(heap_harness.shim_pages(target))
        os.kill(int(re.search(r"kill -TERM (\d+)", done.stderr).group(1)), signal.SIGTERM)
        wait_until("its end", lambda: ended(tool))
        self.assertFalse(heap_harness.shim_pages(target))
        self.works(target)

    def test_one_that_is_stopped_needs_more(self):
        target, tool = self.inside()
        os.kill(tool, signal.SIGSTOP)
        with open(f"/proc/{tool}/stat") as stat:
            wait_until("its stop", lambda: stat.seek(0) == 0 and stat.read().rsplit(")", 1)[1].split()[0] == "T")
        done = attach("-repair", target)
        self.assertEqual(done.returncode, 4, done.stderr)
        for name, pid in re.findall(r"kill -(\w+) (\d+)", done.stderr):
            os.kill(int(pid), getattr(signal, "SIG" + name))
        wait_until("its end", lambda: ended(tool))
        self.assertFalse(heap_harness.shim_pages(target))
        self.works(target)

    def test_a_dead_ones_rest_is_removed_from_outside(self):
        target, tool = self.inside()
        os.kill(tool, signal.SIGKILL)
        wait_until("its end", lambda: ended(tool))
        done = attach("-repair", target)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertFalse(heap_harness.shim_pages(target))
        self.works(target)

    def test_one_that_cannot_be_seen_is_left_alone(self):
        """From inside, a run outside has no id."""
        need_root()
        need("unshare")
        need("nsenter")
        if run(["unshare", "--pid", "--mount-proc", "--fork", "true"]).returncode:
            self.skipTest("no PID namespace can be made here")
        with running("unshare", "--pid", "--mount-proc", "--fork", target_path("hot"), stdout=subprocess.PIPE, text=True) as outer:
            harness.await_line(outer.stdout, "ready")
            target = harness.children(outer.pid)[0]
            recording = heap_harness.Recording(target)
            try:
                inside = run(["nsenter", "-t", str(target), "-p", "-m", ATTACH, "-repair", "1"])
                self.assertEqual(inside.returncode, 4, inside.stderr)
                self.assertIn("cannot be seen from this PID namespace", inside.stderr)
                self.assertNotIn("kill", inside.stderr)
            finally:
                recording.process.send_signal(signal.SIGTERM)
                recording.process.communicate()
            self.assertFalse(heap_harness.shim_pages(target))
            os.kill(target, signal.SIGKILL)
            outer.stdout.close()


class Signals(TempDir):
    def ends(self, ignored, sent):
        with Target("hot") as target:
            profile = self.path(f"{sent.name}.pb.gz")
            # What the test itself was started with (nohup, a script's "&") would be handed down.
            preexec = lambda: [signal.signal(number, signal.SIG_IGN if number in ignored else signal.SIG_DFL) for number in {sent, *ignored}]
            tool = Process([ATTACH, "-p", str(target.pid), "-seconds", "0", "-q", "-o", profile], preexec_fn=preexec)
            harness.wait_for_window(tool)
            tool.send_signal(sent)
            self.assertEqual(tool.wait(timeout=60), 0)
            self.assertTrue(os.path.exists(profile))

    def test_a_run_that_a_script_started_with_ampersand_ends_by_kill(self):
        self.ends([signal.SIGINT, signal.SIGQUIT], signal.SIGINT)
        self.ends([signal.SIGINT, signal.SIGTERM], signal.SIGTERM)

    def test_what_timers_limits_and_batch_systems_send_ends_a_run_as_ctrl_c_does(self):
        for sent in (signal.SIGXCPU, signal.SIGALRM, signal.SIGUSR2, signal.SIGQUIT):
            with self.subTest(sent=sent.name):
                self.ends([], sent)

    def test_a_limit_for_files_is_an_error_and_kills_nobody(self):
        preexec = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with Target("hot") as target:
            runs = [[ATTACH, "-p", str(target.pid), "-seconds", "0.1", "-o", self.path("x.pb.gz")]]
            self.assertEqual(harness.attach("-p", target.pid, "-seconds", "0.1", "-o", self.path("y.pb.gz")).returncode, 0)
            runs.append([harness.CPROF, "-proto", "-output=" + self.path("z.pb.gz"), self.path("y.pb.gz")])
            for argv in runs:
                done = subprocess.run(argv, capture_output=True, text=True, preexec_fn=preexec)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn("File too large\nhint: ulimit -f", done.stderr)

    def test_what_does_not_arrive_on_stdout_is_an_error(self):
        for argv in ([ATTACH, "-help"], [ATTACH, "-completion", "bash"], [harness.CPROF, "-version"]):
            with open("/dev/full", "w") as full:
                done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True)
            self.assertEqual((done.returncode, "to stdout" in done.stderr), (1, True), argv)

    def test_descriptors_that_were_closed_are_nobody_elses(self):
        closed = lambda: [os.close(fd) for fd in (0, 1, 2)]
        with Target("hot") as target:
            tool = Process([ATTACH, "-p", str(target.pid), "-seconds", "0", "-o", self.path("x.pb.gz")], preexec_fn=closed)
            harness.wait_for_window(tool)
            self.assertEqual({os.readlink(f"/proc/{tool.pid}/fd/{fd}") for fd in (0, 1, 2)}, {os.devnull})
            tool.send_signal(signal.SIGTERM)
            self.assertEqual(tool.wait(timeout=60), 0)
            report = [ATTACH, "-p", str(target.pid), "-seconds", "0.1", "-top"]
            done = subprocess.run(report, stderr=subprocess.PIPE, text=True, preexec_fn=lambda: os.close(1))
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn("Bad file descriptor", done.stderr)


class Afford(harness.Target):
    """tests/targets/afford.c"""

    def __init__(self, *limit, argv=("afford",), **popen):
        super().__init__([*argv, *map(str, limit)], **popen)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def end(self, test):
        """It works, and ends well."""
        test.assertEqual(self.ask("churn 10000"), "ok")
        self.process.stdin.close()
        test.assertEqual(self.process.wait(timeout=60), 0)
        self.process.stdout.close()

    def resident(self):
        """Resident bytes of each anonymous mapping, by its first address. Not every kernel shows that one is ours by name."""
        resident, start = {}, None
        with open(f"/proc/{self.pid}/smaps") as smaps:
            for line in smaps:
                words = line.split()
                if not words[0].endswith(":"):
                    start = words[0].split("-")[0] if words[4] == "0" and "[heap" not in line and "[stack" not in line else None
                elif start and words[0] == "Rss:":
                    resident[start] = int(words[1]) << 10
        return resident


MEMLOCK = 8 << 20  # the most that even root may have in some containers


class Refusing(TempDir):
    """What would not leave enough is not begun, and the message says whose limit it is and how much there is."""

    def refused(self, target, *texts, method="inline", prefix=()):
        done = run([*prefix, ATTACH, "-p", str(target.pid), "-mode", "heap", "-heap-method", method, "-seconds", "0.2",
                    "-o", self.path("h.pb.gz")])
        self.assertEqual(done.returncode, 4, done.stderr)
        for text in texts:
            self.assertRegex(done.stderr, text)
        self.assertNotRegex(done.stderr, r"^cprof-attach: (.*: )?out of memory$")
        self.assertEqual(heap_harness.shim_pages(target.pid), [])
        target.end(self)


class Limits(Refusing):
    def test_address_space(self):
        self.refused(Afford("as", 40), r"its RLIMIT_AS is [0-9.]+ MiB, [0-9.]+ MiB used", r"needs 1[0-9]\.\d MiB", "prlimit --pid")

    def test_data(self):
        self.refused(Afford("data", 40), r"its RLIMIT_DATA is [0-9.]+ MiB", "prlimit --pid")

    def test_mappings(self):
        with open("/proc/sys/vm/max_map_count") as file:
            if int(file.read()) > 300000:
                self.skipTest("a process may have too many mappings here to use them up")
        self.refused(Afford("maps", 2), r"mappings of the \d+ that vm.max_map_count", "raise vm.max_map_count")

    def test_locked_memory(self):
        need_root()
        need("setpriv")
        program = self.path("afford")
        shutil.copy(target_path("afford"), program)
        os.chmod(self.dir, 0o755)
        lock = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, "lock"]
        target = Afford.__new__(Afford)
        harness.Target.__init__(target, lock, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_MEMLOCK, (MEMLOCK, MEMLOCK)))
        self.refused(target, "it locks whatever it maps, and its RLIMIT_MEMLOCK is 8.0 MiB")

    def test_a_target_that_locks_everything_and_may_is_profiled(self):
        need_root()
        target = Afford("lock")
        recording = heap_harness.Recording(target.pid)
        self.assertEqual(target.ask("churn 10000"), "ok")
        recording.stop()
        self.assertEqual(heap_harness.shim_pages(target.pid), [])
        target.end(self)

    def test_uprobes_look_at_the_limits_too(self):
        need_root()
        self.refused(Afford("maps", 2), "max_map_count", method="uprobe")


class Places(TempDir):
    """What is mapped into it is in the way of nothing that grows."""

    def grows(self, command, *argv):
        target = Afford("none", argv=argv)
        recording = heap_harness.Recording(target.pid, "-heap-method", "inline")
        self.assertEqual(target.ask(command), "ok")
        recording.stop()
        target.end(self)

    def test_the_heap_of_a_static_program(self):
        self.grows("brk 4000", target_path("afford_static"))

    def test_the_heap_of_a_static_program_that_is_not_moved_at_random(self):
        need("setarch")
        self.grows("brk 4000", "setarch", "-R", target_path("afford_static"))

    def test_the_heap_of_a_program_that_is_not_moved_at_random(self):
        need("setarch")
        self.grows("brk 4000", "setarch", "-R", target_path("afford"))

    def test_a_mapping_that_grows_downwards(self):
        need("setarch")
        self.grows("down 7000", target_path("afford"))
        self.grows("down 7000", "setarch", "-R", target_path("afford"))


class Runners(TempDir):
    """What runs a target is named. Its names are not given out for the program's, and nothing is put into what it executes."""

    def look(self, target, name):
        pid, out = str(target.pid), self.path("x.pb.gz")
        for mode in (("heap", "-heap-method", "inline"), ("heap", "-heap-method", "uprobe"), ("heap",), ("threads",), ("block",),
                     ("mutex",)):
            done = attach("-p", pid, "-mode", *mode, "-seconds", "0.1", "-f", "-o", out)
            self.assertEqual(done.returncode, 1, done.stderr)
            self.assertIn(f"is run by {name}: ", done.stderr)
            self.assertIn(f"without {name}", done.stderr)
        done = attach("-p", pid, "-seconds", "0.1", "-f", "-o", out)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, f"warning: .*are those of {re.escape(name)}")
        self.assertTrue(any("are those of" in comment for comment in harness.Profile.read(out).comments))

    def test_valgrind(self):
        need("valgrind")
        target = Afford("none", argv=("valgrind", "-q", "--tool=none", target_path("afford")))
        self.look(target, "valgrind")
        target.end(self)

    def test_qemu(self):
        qemu = need("qemu-x86_64", "qemu-user is not installed")
        target = Afford("none", argv=(qemu, target_path("afford_static")))
        self.look(target, "qemu-user")
        target.end(self)

    def test_one_that_is_only_known_by_its_name(self):
        """As good as any program, for all that the rest of the test sees."""
        shutil.copy(target_path("afford"), self.path("box64"))
        target = Afford("none", argv=(self.path("box64"),))
        self.look(target, "box64")
        target.end(self)

    def test_one_that_is_only_known_by_its_library(self):
        shutil.copy(os.path.join(harness.BUILD, "targets", "libplugin.so"), self.path("libdynamorio.so"))
        target = Afford("none", env=dict(os.environ, LD_PRELOAD=self.path("libdynamorio.so")))
        self.look(target, "DynamoRIO")
        target.end(self)

    def test_rr(self):
        rr = need("rr", "rr is not installed")
        probe = run([rr, "record", "true"], env=dict(os.environ, _RR_TRACE_DIR=self.path("probe")))
        if probe.returncode:
            self.skipTest(f"rr does not run here: {probe.stderr.strip().splitlines()[-1][:100]}")
        target = Afford("none", argv=(rr, "record", target_path("afford")), env=dict(os.environ, _RR_TRACE_DIR=self.path("trace")))
        done = attach("-p", target.pid, "-mode", "heap", "-heap-method", "uprobe", "-seconds", "0.1", "-o", self.path("h"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("is run by rr", done.stderr)
        target.end(self)

    def test_debuggers_are_named(self):
        server = need("gdbserver", "gdbserver is not installed")
        with running(target_path("hot"), stdout=subprocess.PIPE, text=True) as target:
            harness.await_line(target.stdout, "ready")
            with running(server, "--once", "--attach", "localhost:0", str(target.pid), stderr=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL):
                wait_until("the debugger", lambda: heap_harness.tracer(target.pid))
                done = attach("-p", target.pid, "-mode", "heap", "-heap-method", "inline", "-seconds", "0.1", "-o", self.path("h"))
                self.assertEqual(done.returncode, 4, done.stderr)
                self.assertIn("is being traced by gdbserver", done.stderr)
            target.stdout.close()


class Indirect(TempDir):
    """malloc as an indirect function (IFUNC): what it has become is watched, its resolver left alone."""

    def watch(self, method, *argv, **popen):
        target = Afford("none", argv=argv, **popen)
        recording = heap_harness.Watching(target.pid, method, "-rate", "1")
        self.assertEqual(target.ask("churn 500"), "ok")
        profile = recording.stop()
        self.assertEqual(heap_harness.sums(profile, "churn")[0], 500, recording.stderr)
        target.end(self)

    def test_of_a_program_itself(self):
        for kind in ("fixed", "static"):
            with self.subTest(kind):
                self.watch("inline", target_path(f"indirect_{kind}"))

    def test_of_a_library_before_the_others(self):
        self.watch("inline", target_path("afford"),
                   env=dict(os.environ, LD_PRELOAD=os.path.join(harness.BUILD, "targets", "libindirect_malloc.so")))

    def test_one_that_nobody_has_called_is_told_apart(self):
        target = Afford("none", env=dict(os.environ, LD_PRELOAD=os.path.join(harness.BUILD, "targets", "libindirect_malloc.so")))
        done = attach("-p", target.pid, "-mode", "heap", "-heap-hook", "alloc=unused_take,size=arg1,free=none", "-seconds", "0.1",
                      "-o", self.path("h"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("unused_take cannot be hooked: it is indirect, and nobody has called it yet", done.stderr)
        target.end(self)

    def test_by_uprobes(self):
        need_root()
        self.watch("uprobe", target_path("indirect_static"))


class MemoryCgroup(Refusing):
    """Our pages are charged to the target's memory cgroup, and to all above."""

    def setUp(self):
        super().setUp()
        need_root()
        root = "/sys/fs/cgroup/memory"
        if not os.path.exists(f"{root}/memory.limit_in_bytes"):
            self.skipTest("no memory cgroups of version 1 here; the parsers have unit tests for version 2")
        self.outer = f"{root}/cprof-test-{os.getpid()}"
        self.inner = f"{self.outer}/inner"
        self.addCleanup(self.remove)
        for group in (self.outer, self.inner):
            os.mkdir(group)

    def remove(self):
        for group in (self.inner, self.outer):
            if os.path.isdir(group):
                wait_until("an empty cgroup", lambda: not open(f"{group}/cgroup.procs").read())
                os.rmdir(group)

    def limit(self, group, mib):
        with open(f"{group}/memory.limit_in_bytes", "w") as file:
            file.write(f"{mib}M")

    def target(self):
        def enter():
            with open(f"{self.inner}/cgroup.procs", "w") as file:
                file.write("0")
        target = Afford("none", preexec_fn=enter)
        self.addCleanup(target.process.wait)
        self.addCleanup(target.process.kill)
        return target

    def fill(self, target, group, left_kib):
        """It takes memory until about so much is left to the group."""
        number = lambda name: int(open(f"{group}/memory.{name}_in_bytes").read())
        for _ in range(3):
            more = (number("limit") - number("usage") >> 10) - left_kib
            if more > 0:
                self.assertEqual(target.ask(f"hold {more}"), "ok")

    def test_a_full_one_refuses_with_the_numbers(self):
        self.limit(self.inner, 16)
        target = self.target()
        self.fill(target, self.inner, 4096)
        self.refused(target, r"memory.limit_in_bytes of its memory cgroup \S+/inner is 16.0 MiB, 1[0-9.]+ MiB used",
                     r"needs [0-9.]+ MiB, and 4 times", "raise memory.limit_in_bytes")

    def test_one_above_counts_as_well(self):
        self.limit(self.outer, 16)
        target = self.target()
        self.fill(target, self.outer, 4096)
        self.refused(target, rf"its memory cgroup {self.outer} is 16.0 MiB")

    def test_one_outside_of_our_namespace_counts_as_well(self):
        need("unshare")
        if run(["unshare", "-C", "true"]).returncode:
            self.skipTest("no cgroup namespace can be made here")
        self.limit(self.inner, 16)
        target = self.target()
        self.fill(target, self.inner, 4096)
        self.refused(target, r"its memory cgroup \S+/inner is 16.0 MiB", prefix=("unshare", "-C"))

    def test_where_there_is_a_limit_nothing_is_touched_later(self):
        """Also with cells that fill up, and with hardly anything left: what is resident at the attach is all there will be."""
        for mib, rate in ((64, 524288), (16, 16384)):
            with self.subTest(mib):
                self.limit(self.inner, mib)
                target = self.target()
                before = target.resident()
                recording = heap_harness.Recording(target.pid, "-rate", rate, "-heap-method", "inline")
                ours = target.resident().keys() - before.keys()
                of_ours = lambda: {start: target.resident()[start] for start in ours}
                first = of_ours()
                self.assertGreater(sum(first.values()), 1 << 20)
                self.assertLess(sum(first.values()), mib << 18)
                self.fill(target, self.inner, 1024)
                recording.process.send_signal(signal.SIGSTOP)
                self.assertEqual(target.ask("churn 2000000"), "ok")
                self.assertEqual(of_ours(), first)
                recording.process.send_signal(signal.SIGCONT)
                self.assertEqual(target.ask("churn 100000"), "ok")
                profile = recording.stop()
                self.assertGreater(heap_harness.sums(profile, "churn")[1], 0)
                self.assertEqual(heap_harness.shim_pages(target.pid), [])
                target.end(self)


if __name__ == "__main__":
    harness.main()
