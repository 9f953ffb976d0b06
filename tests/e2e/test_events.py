# SPDX-License-Identifier: Apache-2.0
# alone: counts of the whole machine are compared
"""Events other than clocks: the weights add up to what the kernel counted, however they are opened, and shares are right."""

import os
import signal
import subprocess
import time

import harness
from harness import ATTACH, Profile, Target, TempDir, attach, wait_for_window

WAYS = ("cpu", "thread-cpu", "thread")


def faults(pid):
    """Minor faults of its own so far, of threads that have ended, too, but not of children."""
    with open(f"/proc/{pid}/stat") as file:
        return int(file.read().rsplit(")", 1)[1].split()[7])


def switches(pid):
    """Of its first thread."""
    with open(f"/proc/{pid}/task/{pid}/status") as file:
        return sum(int(line.split()[1]) for line in file if "ctxt_switches" in line)


class Weights(TempDir):
    def setUp(self):
        super().setUp()
        if attach("-event", "list").returncode != 0:
            self.skipTest("libpfm4 is not installed")

    def during(self, pid, count, n, *args):
        """A profile of a window in which `count` grew by `n` at least; what it grew by within the window, and around it."""
        out, outer = self.path("event.pb.gz"), count(pid)
        tool = harness.Process([ATTACH, "-p", str(pid), "-seconds", "0", "-f", "-o", out, *args], stderr=subprocess.PIPE, text=True)
        said = tool.stderr.readline()
        while "profiling" not in said and tool.poll() is None:
            said = tool.stderr.readline()
        wait_for_window(tool)
        inner, deadline = count(pid), time.monotonic() + 60
        while count(pid) < inner + n and tool.poll() is None:
            self.assertLess(time.monotonic(), deadline, "the target was not let run")
            time.sleep(0.01)
        inner = count(pid) - inner
        tool.send_signal(signal.SIGINT)
        _, said = tool.communicate(timeout=60)
        self.assertEqual(tool.returncode, 0, said)
        return Profile.read(out), inner, count(pid) - outer

    def way(self, way, event):
        if way == "cpu" and os.geteuid() != 0:
            self.skipTest("needs root")
        return ("-open", way, "-event", event)

    def test_faults_in_bursts_add_up_to_what_was_counted_and_keep_their_shares(self):
        for way in WAYS:
            with self.subTest(way), Target("event_burst") as target:
                profile, least, most = self.during(target.pid, faults, 30000, *self.way(way, "minor-faults"), "-hz", "400")
                self.assertGreaterEqual(profile.total(1), least)
                self.assertLessEqual(profile.total(1), most)
                n = profile.total(0)
                self.assertGreater(n, 100)
                self.assertLess(n, least / 2)  # a period there was
                # Of 30,000 / 400 bursts at least a sample each: 5/6 with a standard deviation of 0.04 for 100.
                heavy = profile.share(lambda frames, _: "heavy" in frames, 1)
                light = profile.share(lambda frames, _: "light" in frames, 1)
                self.assertAlmostEqual(heavy / (heavy + light), 5 / 6, delta=0.2)
                self.assertTrue(target.alive())

    def test_rare_events_are_all_there(self):
        for way in WAYS:
            with self.subTest(way), Target(["event_burst", "20000"]) as target:
                profile, least, most = self.during(target.pid, switches, 40, *self.way(way, "context-switches"), "-hz", "1000")
                self.assertGreaterEqual(profile.total(1), least)
                self.assertGreaterEqual(profile.total(0), least * 0.8)  # each was a sample, but for the first moments
                self.assertTrue(target.alive())

    def test_a_tracepoint_adds_up_to_what_was_counted(self):
        if not os.access("/sys/kernel/tracing/events", os.R_OK):
            self.skipTest("tracefs is not mounted, or not ours to read")
        for way in ("thread-cpu", "thread"):
            with self.subTest(way), Target(["event_burst", "20000"]) as target:
                profile, least, most = self.during(target.pid, switches, 40, *self.way(way, "sched:sched_switch"), "-hz", "1000")
                self.assertGreaterEqual(profile.total(1), least)
                self.assertLess(profile.total(1), 2 * most)  # and not by the first period, of 64
                self.assertTrue(target.alive())
        refused = attach("-p", os.getpid(), "-event", "sched:sched_switch", "-open", "cpu", "-o", self.path("none.pb.gz"))
        self.assertEqual(refused.returncode, 1)
        self.assertIn("-open thread-cpu", refused.stderr)

    def test_a_command_is_counted_from_its_exec_to_its_end(self):
        out = self.path("event.pb.gz")
        script = "import resource, sys; x = bytearray(40 << 20); print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)"
        for way in WAYS:
            with self.subTest(way):
                done = attach("-q", "-f", "-o", out, *self.way(way, "minor-faults"), "--", "python3", "-c", script)
                self.assertEqual(done.returncode, 0, done.stderr)
                told, total = int(done.stdout), Profile.read(out).total(1)
                self.assertGreater(total, told * 0.98)  # the exec itself, and its end, are counted in part only
                self.assertLess(total, told + 3000)

    def test_an_event_that_does_not_happen_has_no_weight(self):
        with Target("event_burst") as target:
            profile, _, _ = self.during(target.pid, faults, 100, *self.way("thread", "major-faults"))
            self.assertEqual(profile.total(1), 0)


if __name__ == "__main__":
    harness.main()
