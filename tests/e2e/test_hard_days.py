# SPDX-License-Identifier: Apache-2.0
# alone: it lowers the kernel's limits for a while, and looks for processes by name
"""What a profiler meets on a bad day. In none of these may the target die, stay stopped or change."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import unittest

import harness
from harness import ATTACH, Footprint, HangFS, Profile, Target, TempDir, attach, attach_while_it_works, cpu_ticks, need, run, target_path

NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def names(profile):
    return {line["name"] for loc in profile.locations.values() for line in loc["lines"]}


def need_root():
    if os.geteuid() != 0:
        raise unittest.SkipTest("needs root")


class Base(TempDir):
    def profile(self, pid, *args, seconds=0.6, prefix=(), timeout=60, ticks=None):
        """For `seconds`, and on until the target has worked half of that time: a busy machine takes no samples away."""
        out = self.path("cpu.pb.gz")
        tool = [*prefix, self.tool()] if prefix else [ATTACH]
        done = attach_while_it_works(pid, seconds * 50 if ticks is None else ticks, "-hz", 250, "-o", out, "-f", *args,
                                     seconds=seconds, tool=tool, timeout=timeout)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.stderr = done.stderr
        return Profile.read(out)

    def tool(self):
        """The program and this folder where anybody may use them."""
        os.chmod(self.dir, 0o777)
        path = self.path("cprof-attach")
        if not os.path.exists(path):
            shutil.copy(ATTACH, path)
        return path

    def as_nobody(self, *argv):
        """A target that belongs to an ordinary user."""
        need("setpriv")
        self.tool()
        program = self.path(os.path.basename(argv[0]))
        shutil.copy(target_path(argv[0]), program)
        return Target([*NOBODY, program, *argv[1:]])


class Refusals(Base):
    def refused(self, status, text, *args, prefix=()):
        tool = [*prefix, self.tool()] if prefix else [ATTACH]
        done = run([*tool, *map(str, args), "-seconds", "1", "-o", self.path("x")], timeout=60)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertRegex(done.stderr, text)
        self.assertFalse(os.path.exists(self.path("x")))
        self.assertEqual(done.stdout, "")

    def test_no_such_process(self):
        with open("/proc/sys/kernel/pid_max") as file:
            self.refused(3, "no process has the id", "-p", int(file.read()) - 1)
        self.refused(3, 'no process is called "no-such-name-1"', "-n", "no-such-name-1")

    def test_usage_names_the_nearest_flag(self):
        self.refused(2, r"did you mean -seconds\?", "-p", 1, "-secnds", 3)
        self.refused(2, r"did you mean -mode cpu\?", "-p", os.getpid(), "-mode", "cpuu")
        self.refused(2, "not a process id.*\n.*-n redis", "-p", "redis")
        self.refused(2, "nothing to profile")
        self.refused(2, "exclude each other", "-p", 1, "-n", "init")
        self.refused(2, "not between", "-p", 1, "-hz", 1000000)
        self.refused(2, "not between", "-p", 1, "-stack-bytes", "1M")
        self.refused(2, "KEY=VALUE", "-p", 1, "-label", "novalue")
        self.refused(2, "is no option", "-p", 1, "stray")
        self.refused(2, "-open sideways is not known", "-p", os.getpid(), "-open", "sideways")

    def test_a_kernel_thread_a_zombie_and_a_thread_id(self):
        if os.path.exists("/proc/2/comm") and open("/proc/2/comm").read() == "kthreadd\n":
            self.refused(1, "is a kernel thread", "-p", 2)
        child = subprocess.Popen(["true"])
        while open(f"/proc/{child.pid}/stat").read().rsplit(")", 1)[1].split()[0] != "Z":
            pass
        self.refused(3, "it is a zombie", "-p", child.pid)
        child.wait()
        with Target("hot") as target:
            tid = int(os.listdir(f"/proc/{target.pid}/task")[-1])
            self.refused(2, f"is a thread of process {target.pid}", "-p", tid)

    def test_another_users_process_names_what_would_help(self):
        need_root()
        with Target("hot") as target:
            self.refused(4, "CAP_SYS_PTRACE", "-p", target.pid, prefix=NOBODY)

    def test_a_32_bit_program_is_refused_clearly(self):
        program = self.path("spin32")
        built = run(["gcc", "-m32", "-O1", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-static", "-o", program,
                     os.path.join(harness.ROOT, "tests/targets/lib/spin32.c")])
        if built.returncode:
            self.skipTest(f"cannot link 32-bit programs here: {built.stderr[-200:]}")
        try:
            process = subprocess.Popen([program], stdout=subprocess.PIPE, text=True)
        except OSError as error:
            self.skipTest(f"this kernel runs no 32-bit programs: {error}")
        try:
            self.assertEqual(process.stdout.readline(), "ready\n")
            self.refused(1, "runs a 32-bit program", "-p", process.pid)
            self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.communicate()

    def test_several_of_a_name_are_listed(self):
        with Target("hot") as one, Target("hot") as two:
            done = attach("-n", "hot", "-seconds", "1", "-o", self.path("x"))
        self.assertEqual(done.returncode, 2)
        self.assertIn(f"-p {one.pid}", done.stderr)
        self.assertIn(f"-p {two.pid}", done.stderr)


class Targets(Base):
    def test_the_leader_has_exited_and_threads_run_on(self):
        target = Target(["threads", "orphan"])
        try:
            while target.state() != "Z":
                pass
            for how in ("cpu", "thread-cpu", "thread"):
                with self.subTest(how):
                    profile = self.profile(target.pid, "-open", how)
                    self.assertGreater(profile.share(lambda s, l: "busy_orphan" in s and l["thread"] == "orphan"), 0.95)
                    self.assertGreater(profile.total(), 1)
            self.assertTrue(target.alive())
        finally:
            target.process.kill()
            target.process.communicate()

    def test_exec_turns_it_into_another_program(self):
        for how in ("cpu", "thread-cpu"):
            with self.subTest(how), Target(["turns", "exec", target_path("hot")]) as target:
                out = self.path(f"{how}.pb.gz")
                tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "0", "-o", out, "-open", how,
                                        "-hz", "500"], stderr=subprocess.PIPE, text=True)
                self.assertIn("profiling", tool.stderr.readline())
                harness.wait_for_window(tool)
                harness.let_it_work(target.pid, 50)
                target.process.stdin.write("go\n")
                target.process.stdin.flush()
                program = os.path.realpath(target_path("hot"))
                harness.wait_until(lambda: os.path.realpath(f"/proc/{target.pid}/exe") == program, "it runs another program")
                harness.let_it_work(target.pid, 100)
                tool.send_signal(signal.SIGINT)
                _, stderr = tool.communicate(timeout=60)
                self.assertEqual(tool.returncode, 0, stderr)
                profile = Profile.read(out)
                before = profile.share(lambda s, l: "before_exec" in s)
                after = profile.share(lambda s, l: "crunch" in s or "sorter" in s)
                self.assertGreater(before, 0.05)
                self.assertGreater(after, 0.25)
                self.assertGreater(before + after, 0.93)
                self.assertTrue(all(l["thread"] in ("crunch", "sorter", "hot")
                                    for s, _, l in profile.samples if "hash_blocks" in s))

    def test_a_forked_child_is_not_followed(self):
        for how in ("cpu", "thread-cpu"):
            with self.subTest(how), Target(["turns", "fork"]) as target:
                profile = self.profile(target.pid, "-open", how)
                self.assertGreater(profile.share(lambda s, l: "parent_work" in s), 0.97)
                self.assertNotIn("child_work", names(profile))

    def test_a_thousand_new_threads_a_second(self):
        with Target(["threads", "churn", "1000"]) as target:
            out = self.path("cpu.pb.gz")
            done = attach_while_it_works(target.pid, 60, "-hz", "1000", "-o", out)
            self.assertEqual(done.returncode, 0, done.stderr)
            profile = Profile.read(out)
            threads = len({l["tid"] for _, _, l in profile.samples})
        self.assertGreater(threads, 20)
        self.assertGreater(profile.share(lambda s, l: "brief_work" in s), 0.5)

    def test_two_thousand_threads(self):
        with Target(["threads", "sleep", "2000"]) as target:
            before = len(os.listdir(f"/proc/{target.pid}/task"))
            for how in ("cpu", "thread-cpu"):
                with self.subTest(how):
                    profile = self.profile(target.pid, "-open", how)
                    self.assertGreater(profile.share(lambda s, l: l["thread"] == "one-worker"), 0.9)
            self.assertEqual(len(os.listdir(f"/proc/{target.pid}/task")), before)

    def test_few_descriptors(self):
        with Target(["threads", "sleep", "600"]) as target:
            for limit in ("256:256", "64:64"):
                profile = self.profile(target.pid, prefix=["prlimit", f"--nofile={limit}"])
                self.assertGreater(profile.share(lambda s, l: "busy_one" in s), 0.9)

    def test_few_descriptors_without_privilege_still_sees_the_busy_thread(self):
        need_root()
        with self.as_nobody("threads", "sleep", "300") as target:
            while cpu_ticks(target.pid) < 50:  # the busy one is started last; its work tells which one it is
                time.sleep(0.01)
            profile = self.profile(target.pid, prefix=["prlimit", "--nofile=256:256", *NOBODY])
        self.assertIn("threads are not sampled", self.stderr)
        self.assertTrue([c for c in profile.comments if "threads are not sampled" in c])
        self.assertGreater(profile.share(lambda s, l: "busy_one" in s), 0.9)

    def test_libraries_come_and_go(self):
        plugin = target_path("libplugin.so")
        with Target(["turns", "dlopen", plugin]) as target:
            profile = self.profile(target.pid)
        self.assertGreater(profile.share(lambda s, l: "plugin_inner" in s and "plugin_work" in s), 0.85)

    def test_a_stopped_process_stays_stopped(self):
        with Target("hot") as target:
            os.kill(target.pid, signal.SIGSTOP)
            while target.state() != "T":
                pass
            profile = self.profile(target.pid, ticks=0)
            self.assertEqual(target.state(), "T")
            os.kill(target.pid, signal.SIGCONT)
        self.assertEqual(profile.total(), 0)

    def test_a_deleted_and_a_replaced_program(self):
        for way in ("deleted", "replaced", "overwritten name, other program"):
            with self.subTest(way):
                program = self.path("hot-copy")
                shutil.copy(target_path("hot"), program)
                with Target([program]) as target:
                    os.unlink(program)
                    if way != "deleted":
                        shutil.copy(target_path("turns"), program)
                    profile = self.profile(target.pid)
                self.assertGreater(profile.share(lambda s, l: "crunch" in s or "sorter" in s), 0.97)
                self.assertNotIn("before_exec", names(profile))
                os.path.exists(program) and os.unlink(program)

    def test_stripped_programs_keep_whole_stacks(self):
        program = self.path("hot-stripped")
        self.assertEqual(run(["strip", "-o", program, target_path("hot")]).returncode, 0)
        with Target([program]) as target:
            profile = self.profile(target.pid)
        roots = profile.share(lambda s, l: s[-1] in ("__clone3", "clone3", "_start"))
        self.assertGreaterEqual(roots, 0.99)
        self.assertTrue([n for n in names(profile) if n.startswith("hot-stripped+0x")])

    def test_a_process_in_a_chroot_with_its_own_mounts_and_pids(self):
        need_root()
        root = self.path("root")
        os.makedirs(os.path.join(root, "bin"))
        os.makedirs(os.path.join(root, "proc"))
        shutil.copy(target_path("hot"), os.path.join(root, "bin/only-in-here"))
        for path in re.findall(r"(/\S+) \(0x", run(["ldd", target_path("hot")]).stdout):
            os.makedirs(os.path.join(root, os.path.dirname(path).lstrip("/")), exist_ok=True)
            shutil.copy(path, os.path.join(root, path.lstrip("/")))
        harness.need_namespaces("--pid", "--mount", "--propagation", "unchanged", "--fork")
        process = subprocess.Popen(["unshare", "--pid", "--mount", "--propagation", "unchanged", "--fork", "--kill-child", "chroot", root,
                                    "/bin/only-in-here"], stdout=subprocess.PIPE, text=True)
        try:
            said = [process.stdout.readline() for _ in range(3)]
            self.assertIn("pid 1\n", said)
            (pid,) = harness.children(process.pid)  # unshare's; it has become the program, which has spoken
            for how in ("cpu", "thread-cpu"):
                with self.subTest(how):
                    profile = self.profile(pid, "-open", how)
                    self.assertEqual(profile.mappings[0]["file"].split("/")[-1], "only-in-here")
                    self.assertGreater(profile.share(lambda s, l: "crunch" in s or "sorter" in s), 0.97)
                    self.assertIn("mix_hash", names(profile))
            self.assertIsNone(process.poll())
        finally:
            process.kill()
            process.communicate()

    def test_from_inside_another_pid_namespace(self):
        need_root()
        script = f"""
{target_path('hot')} > {self.path('said')} &
hot=$!
while ! grep -q ready {self.path('said')} 2>/dev/null; do :; done
{ATTACH} -p $hot -seconds 1 -hz 1000 -open cpu -v -o {self.path('in.pb.gz')} || exit 9
unshare --pid --fork --kill-child {target_path('hot')} > {self.path('said2')} &
while ! grep -q ready {self.path('said2')} 2>/dev/null; do :; done
inner=$(pgrep -x hot | tail -1)
{ATTACH} -p $inner -seconds 1 -hz 1000 -open cpu -v -o {self.path('inner.pb.gz')}
"""
        harness.need_namespaces("--pid", "--fork", "--propagation", "unchanged", "--mount-proc")
        done = run(["unshare", "--pid", "--fork", "--kill-child", "--propagation", "unchanged", "--mount-proc", "bash", "-c", script], timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        for name in ("in", "inner"):
            profile = Profile.read(self.path(f"{name}.pb.gz"))
            self.assertGreater(profile.total(), 1, done.stderr)
            self.assertGreater(profile.share(lambda s, l: l["thread"] in ("crunch", "sorter")), 0.97)

    def test_a_process_that_gets_the_id_of_a_target_is_not_taken_for_it(self):
        need_root()
        script = """
import os, signal, subprocess, sys, time
here, attach, hot, turns, out = sys.argv[1:]
sys.path.insert(0, here)
import harness
def ticks(pid):
    with open(f'/proc/{pid}/stat') as file:
        return sum(map(int, file.read().rsplit(')', 1)[1].split()[11:13]))
keeps = subprocess.Popen([hot], stdout=subprocess.DEVNULL)
ends = subprocess.Popen([hot], stdout=subprocess.DEVNULL)
tool = subprocess.Popen([attach, '-p', f'{keeps.pid},{ends.pid}', '-seconds', '0', '-o', out], stderr=subprocess.PIPE, text=True)
assert 'profiling' in tool.stderr.readline()
harness.wait_for_window(tool)  # one that ends before is no target
ends.kill(); ends.wait()
for _ in range(50):
    with open('/proc/sys/kernel/ns_last_pid', 'w') as file:
        file.write(str(ends.pid - 1))
    again = subprocess.Popen([turns, 'fork'], stdout=subprocess.DEVNULL)
    if again.pid == ends.pid:
        break
    again.kill(); again.wait()
assert again.pid == ends.pid, 'the id could not be taken'
both = ticks(keeps.pid), ticks(again.pid)
while ticks(keeps.pid) < both[0] + 30 or ticks(again.pid) < both[1] + 30:
    time.sleep(0.01)
tool.send_signal(signal.SIGINT)
sys.exit(tool.wait())
"""
        out = self.path("x.pb.gz")
        harness.need_namespaces("--pid", "--fork", "--propagation", "unchanged", "--mount-proc")
        done = run(["unshare", "--pid", "--fork", "--kill-child", "--propagation", "unchanged", "--mount-proc", sys.executable, "-c", script,
                    os.path.dirname(os.path.abspath(__file__)), ATTACH, target_path("hot"), target_path("turns"), out], timeout=120)
        self.assertEqual(done.returncode, 0, done.stderr)
        profile = Profile.read(out)
        self.assertNotIn("parent_work", names(profile))
        self.assertGreater(profile.total(), 10)

    def test_a_target_that_ends_early_or_at_once(self):
        with Target(["turns", "pipe"]) as target:
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "20", "-o", self.path("early.pb.gz")],
                                   stderr=subprocess.PIPE, text=True)
            tool.stderr.readline()
            harness.wait_for_window(tool)
            target.process.stdin.write("\n")
            target.process.stdin.flush()
            _, stderr = tool.communicate(timeout=40)
            self.assertEqual(tool.returncode, 0, stderr)
            self.assertIn("ended early", stderr)
            Profile.read(self.path("early.pb.gz"))
        for attempt in range(15):
            brief = subprocess.Popen(["true"])
            done = attach("-p", brief.pid, "-seconds", "5", "-o", self.path("x"), "-f", timeout=40)
            brief.wait()
            self.assertIn(done.returncode, (0, 3), done.stderr)

    def held_before_the_window(self, pids, *args):
        """cprof-attach, which has opened these processes and cannot say so, as its stderr is a pipe that is full; and that pipe."""
        reads, writes = os.pipe()
        os.set_blocking(writes, False)
        try:
            while True:
                os.write(writes, b"." * 4096)
        except BlockingIOError:
            pass
        os.set_blocking(writes, True)
        process = subprocess.Popen([ATTACH, "-p", ",".join(map(str, pids)), "-seconds", "0.3", "-o", self.path("x.pb.gz"), "-f", *args],
                                   stderr=writes, stdout=subprocess.DEVNULL)
        os.close(writes)

        def is_held():
            with open(f"/proc/{process.pid}/syscall") as file:
                return file.read().startswith("1 0x2 ")
        harness.wait_until(is_held, "cprof-attach has something to say")
        return process, reads

    def ends_before_the_window(self, kill, args, zombies):
        """(exit status, what it said) of three processes, of which those numbered `kill` end when they have been opened."""
        targets = [subprocess.Popen([target_path("hot")], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) for _ in range(3)]
        try:
            for target in targets:
                harness.await_line(target.stdout, "ready")
            process, reads = self.held_before_the_window([target.pid for target in targets], *args)
            for i in kill:
                targets[i].kill()
                if zombies:
                    os.waitid(os.P_PID, targets[i].pid, os.WEXITED | os.WNOWAIT)
                else:
                    targets[i].wait()
            with open(reads, "rb") as pipe:
                said = pipe.read().decode().lstrip(".")
            status = process.wait()
            self.assertTrue(all(targets[i].poll() is None for i in range(3) if i not in kill))
            return status, said, [target.pid for target in targets]
        finally:
            for target in targets:
                target.kill()
                target.communicate()

    def test_one_of_several_ends_before_the_window_and_the_run_goes_on(self):
        for args in (["-open", "cpu"], ["-open", "thread-cpu"], ["-open", "thread"], ["-event", "page-faults"],
                     ["-mode", "threads"], ["-mode", "threadcreate"]):
            for zombies in (False, True):
                with self.subTest(args=args, zombies=zombies):
                    status, said, pids = self.ends_before_the_window((0, 2), args, zombies)
                    self.assertEqual(status, 0, said)
                    for i in (0, 2):
                        self.assertEqual(said.count(f"process {pids[i]} (hot) ended before it could be profiled: it is left out"), 1, said)
                    seen = {labels["pid"] for _, _, labels in Profile.read(self.path("x.pb.gz")).samples}
                    self.assertLessEqual({pids[1]} if args[1] == "threads" else set(), seen)
                    self.assertLessEqual(seen, {pids[1]})

    def test_all_of_several_end_before_the_window(self):
        for args in (["-open", "cpu"], ["-open", "thread-cpu"], ["-open", "thread"], ["-mode", "threads"], ["-mode", "threadcreate"]):
            with self.subTest(args=args):
                status, said, _ = self.ends_before_the_window((0, 1, 2), args, False)
                self.assertEqual(status, 3, said)
                self.assertNotIn("profiled:", said)

    def test_killing_us_harms_nobody_and_leaves_no_file(self):
        with Target("hot") as target:
            before = Footprint(target.pid)
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "20"], cwd=self.dir,
                                   stderr=subprocess.PIPE, text=True)
            tool.stderr.readline()
            harness.wait_for_window(tool)
            tool.kill()
            tool.communicate()
            before.check_unchanged(self)
        self.assertEqual(os.listdir(self.dir), [])


class Unprivileged(Base):
    def setUp(self):
        super().setUp()
        need_root()

    def test_an_ordinary_user_on_his_own_process(self):
        with self.as_nobody("hot") as target:
            profile = self.profile(target.pid, "-v", prefix=NOBODY)
        self.assertIn("per thread-cpu", self.stderr)
        self.assertIn("time spent in the kernel is not counted", self.stderr)
        self.assertTrue([c for c in profile.comments if "kernel" in c and "not counted" in c])
        self.assertGreater(profile.share(lambda s, l: "crunch" in s or "sorter" in s), 0.97)
        self.assertGreaterEqual(profile.share(lambda s, l: s[-1] in ("__clone3", "clone3", "_start")), 0.99)

    def test_at_paranoid_3_it_works_or_says_what_to_change(self):
        knob = "/proc/sys/kernel/perf_event_paranoid"
        with open(knob) as file:
            before = file.read()
        try:
            with open(knob, "w") as file:
                file.write("3")
            with self.as_nobody("hot") as target:
                done = run([*NOBODY, self.tool(), "-p", str(target.pid), "-seconds", "1", "-o", self.path("x")])
        finally:
            with open(knob, "w") as file:
                file.write(before)
        if done.returncode == 4:  # Debian's own kernels refuse everything at 3
            self.assertIn("kernel.perf_event_paranoid=2", done.stderr)
        else:
            self.assertEqual(done.returncode, 0, done.stderr)

    def test_little_memory_to_lock_makes_rings_smaller(self):
        with self.as_nobody("hot") as target:
            profile = self.profile(target.pid, "-v", "-hz", "1000",
                                   prefix=["prlimit", "--memlock=0:0", *NOBODY])
        rings = int(re.search(r"rings of (\d+) KiB", self.stderr).group(1))
        self.assertLessEqual(rings, 512)
        self.assertGreater(profile.share(lambda s, l: "crunch" in s or "sorter" in s), 0.97)


class UsersMount(Base):
    """A program on a FUSE mount of its user, who lets nobody else in: not even root can open the file that root profiles."""

    def setUp(self):
        super().setUp()
        need_root()
        os.chmod(self.dir, 0o755)

    def mount(self, *how, program=target_path("hot")):
        self.files = HangFS(self, self.path("mount"), program, "65534", *how)
        return os.path.join(self.files.where, "file")

    def test_it_is_named_all_the_same(self):
        program = self.mount()
        with self.assertRaises(PermissionError):
            open(program, "rb").close()
        with Target([program], user=65534, group=65534, extra_groups=[]) as target:
            before = Footprint(target.pid)
            profile = self.profile(target.pid, "-no-cache")
            before.check_unchanged(self)
        self.assertLessEqual({"crunch", "hash_blocks"}, names(profile))
        self.assertNotIn("warning", self.stderr)

    def test_its_debug_file_beside_it_is_read_as_that_user_too(self):
        stripped, debug = self.path("stripped"), self.path("hot.debug")
        for command in (["--only-keep-debug", target_path("hot"), debug],
                        ["--strip-all", f"--add-gnu-debuglink={debug}", target_path("hot"), stripped]):
            subprocess.run(["objcopy", *command], check=True)
        program = self.mount(f"hot.debug={debug}", program=stripped)
        with Target([program], user=65534, group=65534, extra_groups=[]) as target:
            profile = self.profile(target.pid, "-no-cache")
        self.assertLessEqual({"crunch", "hash_blocks"}, names(profile))
        self.assertNotIn("warning", self.stderr)

    def test_a_mount_that_hangs_costs_names_and_no_more(self):
        """The pages that are mapped stay; who looks at the file waits for ever."""
        program = self.mount()
        target = Target([program], user=65534, group=65534, extra_groups=[])
        try:
            self.files.server.send_signal(signal.SIGSTOP)
            profile = self.profile(target.pid, "-no-cache", ticks=5)
            self.assertGreater(profile.total(1), 0)
            self.assertRegex(self.stderr, "warning: .*mount/file: Permission denied")
        finally:
            self.files.server.send_signal(signal.SIGCONT)
            target.close(sig=signal.SIGKILL, check=False)

    def test_a_mount_that_hangs_where_its_file_is_closed_costs_no_more(self):
        with Target([self.mount("close")], user=65534, group=65534, extra_groups=[]) as target:
            profile = self.profile(target.pid, "-no-cache", ticks=5)
            self.assertGreater(profile.total(1), 0)
            self.assertTrue(target.alive())
        self.assertRegex(self.stderr, "warning: .*mount/file: Permission denied")


if __name__ == "__main__":
    harness.main()
