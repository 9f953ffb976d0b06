"""What a target may afford, what it is run by, and what others left in it. Whatever is refused is refused with the reason, and the
target still works."""

import contextlib
import os
import re
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
                self.assertIn("no cprof-attach", done.stderr)
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
                  f"{ATTACH} -p $t -mode heap -seconds 0 -q -f -o {self.path('h.pb.gz')} & wait $!; wait")
        os.mkfifo(self.path("in"))
        outer = Process(["unshare", "--pid", "--mount-proc", "--fork", "sh", "-c", script])
        self.addCleanup(lambda: (outer.kill(), outer.wait()))
        self.feed = open(self.path("in"), "w")
        self.addCleanup(self.feed.close)
        shell = lambda: (harness.children(outer.pid) or [0])[0]
        both = lambda: harness.children(shell()) if shell() else []
        wait_until("the target and its profile", lambda: len(both()) == 2)
        target, tool = sorted(both())
        self.addCleanup(lambda: [os.kill(pid, signal.SIGKILL) for pid in (target, tool) if not ended(pid)])
        wait_until("the jumps", lambda: heap_harness.shim_pages(target) and heap_harness.tracer(target) == 0)
        harness.wait_for_window(type("Tool", (), {"pid": tool, "poll": staticmethod(lambda: None)}))
        return target, tool

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
        with running("unshare", "--pid", "--mount-proc", "--fork", target_path("hot"), stdout=subprocess.PIPE, text=True) as outer:
            wait_until("the target", lambda: outer.poll() is not None or harness.children(outer.pid))
            if outer.poll() is not None:
                self.skipTest("no PID namespace can be made here")
            while outer.stdout.readline().strip() != "ready":
                pass
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
            preexec = lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored]
            tool = Process([ATTACH, "-p", str(target.pid), "-seconds", "0", "-q", "-o", profile], preexec_fn=preexec)
            harness.wait_for_window(tool)
            tool.send_signal(sent)
            self.assertEqual(tool.wait(timeout=60), 0)
            self.assertTrue(os.path.exists(profile))

    def test_a_run_that_a_script_started_with_ampersand_ends_by_kill(self):
        self.ends([signal.SIGINT, signal.SIGQUIT], signal.SIGINT)
        self.ends([signal.SIGINT, signal.SIGTERM], signal.SIGTERM)


if __name__ == "__main__":
    harness.main()
