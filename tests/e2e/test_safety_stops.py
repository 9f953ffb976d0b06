#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# alone: it freezes cgroups and counts stops
"""Stopping a process and borrowing one of its threads: sandboxes hold, traps are not sprung, nobody stands still for long."""

import os
import random
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import harness
from heap_harness import Recording, executable_bytes, tracer

STOPS = re.compile(r"threads stood still (\d+) times?, at most (\d+) us, (\d+) us in all(?:; \d+ of them in vain)?, for the attach, and "
                   r"(\d+) times?, at most (\d+) us, (\d+) us in all(?:; \d+ of them in vain)?, for the detach")
EPOLL_WAIT = ("232",)
EINTR = ["epoll_wait_timed", "semtimedop", "sigtimedwait", "recv_timed"]
SHORT = {"recv_waitall": "3", "write": "1", "send": "1", "sendfile": "1", "splice": "1"}


def heap(pid, *args, seconds="0.05", tool=()):
    return harness.run([*tool, harness.ATTACH, "-p", str(pid), "-mode", "heap", "-seconds", seconds, "-o", os.devnull, "-f",
                        *args])


def dispatched(how):
    try:
        return harness.Target(["stops_dispatch", how])
    except AssertionError:
        raise unittest.SkipTest(f"this kernel has nothing for stops_dispatch {how}") from None


class Sandboxes(unittest.TestCase):
    def test_a_seccomp_filter_holds_in_every_thread_while_one_is_borrowed(self):
        target = harness.Target(["stops_jail", "3"])
        for _ in range(4):
            result = heap(target.pid)
            self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("out 0", target.close())

    def test_a_seccomp_filter_holds_when_the_profiler_is_killed(self):
        random.seed(7)
        target = harness.Target(["stops_jail", "3"])
        before = executable_bytes(target.pid)
        argv = [harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-seconds", "0.02", "-o", os.devnull, "-f", "-q"]
        start = time.monotonic()
        subprocess.run(argv, check=True)
        whole = time.monotonic() - start  # of a run on this machine, as busy as it is
        for _ in range(15):
            process = subprocess.Popen(argv)
            time.sleep(random.random() * whole)  # any moment will do
            process.kill()
            process.wait()
            repair = harness.attach("-repair", target.pid)
            self.assertEqual(repair.returncode, 0, repair.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("out 0", target.close())

    def test_calls_that_are_dispatched_to_a_handler_are_not_made(self):
        target = dispatched("all")
        before = executable_bytes(target.pid)
        result = heap(target.pid)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("Syscall User Dispatch", result.stderr)
        self.assertIn("-heap-method uprobe", result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("trapped 0", target.close())

    def test_calls_from_exempt_code_or_by_another_thread_are(self):
        for how in ("libc", "one", "strict", "notsc"):
            with self.subTest(how=how):
                target = dispatched(how)
                before = executable_bytes(target.pid)
                result = heap(target.pid)
                self.assertEqual(result.returncode, 0, result.stderr)
                self.assertEqual(executable_bytes(target.pid), before)
                self.assertIn("trapped 0", target.close())

    def test_a_kernel_that_does_not_tell_is_tried_without_harm(self):
        untold = [harness.target_path("stops_untold")]
        for how, status in (("all", 1), ("one", 0)):
            with self.subTest(how=how):
                target = dispatched(how)
                before = executable_bytes(target.pid)
                for _ in range(3):
                    result = heap(target.pid, tool=untold)
                    self.assertEqual(result.returncode, status, result.stderr)
                self.assertEqual(executable_bytes(target.pid), before)
                self.assertIn("trapped 0", target.close())

    def test_a_process_that_shuts_itself_in_while_it_is_profiled_lives(self):
        for how, why in (("seccomp", "munmap"), ("dispatch", "Syscall User Dispatch"), ("strict", "strict mode")):
            with self.subTest(how=how):
                target = harness.Target(["stops_late", how])
                before = executable_bytes(target.pid)
                recording = Recording(target.pid)
                ask(target, "shut")
                recording.stop()
                self.assertRegex(recording.stderr, f"stays mapped .*{why}")
                repair = harness.attach("-repair", target.pid)
                self.assertEqual(repair.returncode, 1, repair.stderr)
                self.assertIn(why, repair.stderr)
                self.assertEqual(heap(target.pid).returncode, 1)
                now = executable_bytes(target.pid)
                self.assertEqual({where: now[where] for where in before}, before)
                quit(self, target, "trapped 0")


def ask(target, line):
    target.process.stdin.write(line + "\n")
    target.process.stdin.flush()
    answers = []
    for answer in target.process.stdout:
        if answer == "done\n":
            return answers
        answers.append(answer.strip())
    raise AssertionError("the target ended")


def quit(test, target, last="all well"):
    target.process.stdin.write("quit\n")
    target.process.stdin.flush()
    test.assertIn(last, target.close(sig=0))


class Bounds(unittest.TestCase):
    def test_nobody_stands_still_for_a_thread_that_hangs_in_the_kernel(self):
        target = harness.Target(["stops_vfork"])
        before = executable_bytes(target.pid)
        ask(target, "vfork")
        result = heap(target.pid)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertIn("vfork", result.stderr)
        self.assertLess(int(ask(target, "longest")[0]), 400)
        self.assertEqual(executable_bytes(target.pid), before)
        ask(target, "over")
        self.assertEqual(heap(target.pid).returncode, 0)
        self.assertEqual(executable_bytes(target.pid), before)
        quit(self, target)

    def test_a_process_whose_memory_does_not_answer_is_left_alone(self):
        folder = tempfile.mkdtemp(prefix="cprof-hang-")
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        files = harness.HangFS(self, os.path.join(folder, "mnt"))
        target = process = None
        try:
            target = harness.Target(["hung_unmap", os.path.join(files.where, "file")])
            target.process.stdin.write("h")
            target.process.stdin.flush()
            self.assertEqual(target.process.stdout.readline(), "hung\n")
            for args in (["-p", str(target.pid), "-mode", "heap", "-o", os.devnull, "-f"], ["-repair", str(target.pid)]):
                process = subprocess.Popen([harness.ATTACH, *args], stderr=subprocess.PIPE, text=True)
                process.wait(timeout=60)
                self.assertEqual(process.returncode, 1)
                self.assertIn("does not answer", process.stderr.read())
                process.stderr.close()
        finally:
            # First of all: whoever reads the target's memory waits for it, also where no signal is heard.
            files.end()
            for one in (process, target and target.process):
                if one:
                    one.kill()
                    one.wait()

    def test_a_detach_that_cannot_stop_all_says_what_stays_and_repair_takes_it_out(self):
        target = harness.Target(["stops_vfork"])
        before = executable_bytes(target.pid)
        recording = Recording(target.pid)
        ask(target, "vfork")
        ask(target, "longest")
        recording.stop()
        self.assertLess(int(ask(target, "longest")[0]), 400)
        self.assertRegex(recording.stderr, "still in the process, asleep.*waits for a vfork child")
        self.assertIn("0 times, for the detach", recording.stderr)
        self.assertNotIn("sampling paused", recording.stderr)
        repair = harness.attach("-repair", target.pid)
        self.assertNotEqual(repair.returncode, 0)
        self.assertLess(int(ask(target, "longest")[0]), 400)
        ask(target, "over")
        repair = harness.attach("-repair", target.pid)
        self.assertEqual(repair.returncode, 0, repair.stderr)
        self.assertRegex(repair.stderr, r"stood still 1 time, at most \d+ us")
        self.assertEqual(executable_bytes(target.pid), before)
        quit(self, target)

    def test_every_stop_is_counted_in_the_summary_and_in_the_profile(self):
        target = harness.Target(["heap_churn", "3"])
        recording = Recording(target.pid)
        profile = recording.stop()
        said = STOPS.search(recording.stderr)
        self.assertTrue(said, recording.stderr)
        attach_n, attach_max, attach_sum, n, longest, total = map(int, said.groups())
        for count, most, together in ((attach_n, attach_max, attach_sum), (n, longest, total)):
            self.assertGreaterEqual(count, 1)
            self.assertGreater(most, 0)
            self.assertTrue(most <= together <= count * most + count)
        self.assertIn(said.group(0), "\n".join(profile.comments))
        self.assertIn("bad 0", target.close())

    def test_system_calls_go_on_except_those_that_the_documents_name(self):
        target = harness.Target(["stop_calls"])
        result = heap(target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertRegex(result.stderr, r"\d+ times a thread slept in a system call that returns EINTR")
        self.assertRegex(result.stderr, r"\d+ times a thread slept in a write or send")
        got = dict(line.split() for line in ask(target, "report"))
        for name, how in got.items():
            if how == "ENOSYS" or how == "EPERM":
                continue  # this machine has none
            self.assertEqual(how, "EINTR" if name in EINTR else SHORT.get(name, "waits"), name)
        quit(self, target)


    def test_a_write_that_never_pauses_is_stopped_where_one_has_ended(self):
        for _ in range(5):  # on a busy machine a write may take longer than anybody waits for its end
            target = harness.Target(["stop_writes"])
            result = heap(target.pid)
            self.assertEqual(result.returncode, 0, result.stderr)
            said = target.close()
            self.assertEqual("short 0 " not in said, "slept in a write" in result.stderr, said + result.stderr)
            if "short 0 " in said:
                break
        self.assertIn("short 0 ", said)

    def test_a_signal_that_comes_during_a_stop_still_ends_the_call(self):
        for _ in range(12):
            target = harness.Target(["stop_signal"])
            while not harness.in_system_call(target.pid, EPOLL_WAIT):
                time.sleep(0.001)
            process = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-seconds", "0.02", "-o",
                                        os.devnull, "-f", "-q"], stderr=subprocess.DEVNULL)
            while tracer(target.pid) == 0 and process.poll() is None:
                pass
            self.assertIn("interrupted 1", target.close())
            process.wait(timeout=60)


class States(unittest.TestCase):
    def test_a_process_whose_first_thread_has_ended_is_profiled(self):
        target = harness.Target(["heap_churn", "2", "orphan"])
        target.process.send_signal(signal.SIGALRM)
        deadline = time.monotonic() + 60
        while target.state() != "Z" and time.monotonic() < deadline:
            time.sleep(0.001)
        result = heap(target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        target.close(sig=signal.SIGKILL, check=False)

    def test_a_stopped_process_stays_stopped(self):
        target = harness.Target(["heap_churn", "2"])
        before = executable_bytes(target.pid)
        target.process.send_signal(signal.SIGSTOP)
        while target.state() != "T":
            time.sleep(0.001)
        result = heap(target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(target.state(), "T")
        self.assertEqual(executable_bytes(target.pid), before)
        target.process.send_signal(signal.SIGCONT)
        self.assertIn("bad 0", target.close())

    def freeze(self, group, procs, knob, on, off, fact):
        try:
            os.mkdir(group)
        except OSError as why:
            raise unittest.SkipTest(f"no cgroup can be made: {why}") from None
        target = harness.Target(["heap_churn", "2"])
        before = executable_bytes(target.pid)

        def write(file, text):
            with open(os.path.join(group, file), "w") as out:
                out.write(text)

        def frozen():
            with open(os.path.join(group, fact[0])) as file:
                return fact[1] in file.read()

        try:
            write(procs, str(target.pid))
            write(knob, on)
            while not frozen():
                time.sleep(0.001)
            result = heap(target.pid)
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn("frozen", result.stderr)
        finally:
            write(knob, off)
            with open(os.path.join(os.path.dirname(group), procs), "w") as out:
                out.write(str(target.pid))
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn("bad 0", target.close())
        os.rmdir(group)

    def test_a_frozen_process_is_refused(self):
        mounts = [line.split() for line in open("/proc/mounts")]
        roots = [(m[1], m[2]) for m in mounts if m[2] == "cgroup2" or (m[2] == "cgroup" and "freezer" in m[3].split(","))]
        if not roots:
            raise unittest.SkipTest("no cgroup freezer is mounted")
        for root, kind in roots:
            with self.subTest(kind=kind):
                group = os.path.join(root, f"cprof-test-{os.getpid()}")
                if kind == "cgroup2":
                    self.freeze(group, "cgroup.procs", "cgroup.freeze", "1", "0", ("cgroup.events", "frozen 1"))
                else:
                    self.freeze(group, "cgroup.procs", "freezer.state", "FROZEN", "THAWED", ("freezer.state", "FROZEN"))


if __name__ == "__main__":
    harness.main()
