#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-on-oom: the heap profile of a process that runs out of memory, before it is killed and when it was."""

import os
import signal
import time
import unittest

import harness
from heap_harness import executable_bytes
from test_heap_growth import Growth, start


def number_in(path, key=""):
    with open(path) as file:
        return next((int(line[len(key):].split()[0]) for line in file if line.startswith(key)), 0)


class Group:
    """A memory cgroup with a limit, of whichever version this machine has; the process in it is to be the last."""

    def __init__(self, limit):
        if os.geteuid() != 0:
            raise unittest.SkipTest("makes a memory cgroup")
        if number_in("/proc/sys/vm/panic_on_oom"):
            raise unittest.SkipTest("this machine stops when memory runs out (vm.panic_on_oom)")
        for parent, knob, swap, self.events in (("/sys/fs/cgroup", "memory.max", "memory.swap.max", "memory.events"),
                                                ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes",
                                                 "memory.oom_control")):
            self.path = f"{parent}/cprof-test-{os.getpid()}"
            try:
                os.mkdir(self.path)
            except OSError:
                continue
            if self.limit(knob, swap, limit):
                return
            self.remove()
        raise unittest.SkipTest("no memory cgroup with a limit, of swap too, can be made here")

    def limit(self, knob, swap, limit):
        """False: it cannot be limited."""
        if not os.path.exists(f"{self.path}/{knob}"):
            return False
        try:
            self.write(knob, limit)
            if os.path.exists(f"{self.path}/{swap}"):
                self.write(swap, 0 if "swap.max" in swap else limit)
                return True
        except OSError:
            return False
        return not number_in("/proc/meminfo", "SwapTotal:")

    def take(self, pid):
        try:
            self.write("cgroup.procs", pid)
        except OSError as error:
            raise unittest.SkipTest(f"no process can be moved to a memory cgroup here: {error}")

    def write(self, name, value):
        with open(f"{self.path}/{name}", "w") as file:
            file.write(str(value))

    def remove(self, timeout=10):
        """A group is in use for a moment after its last process."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                return os.rmdir(self.path)
            except OSError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.01)


class OnOom(harness.TempDir):
    def check_profile(self, path, words):
        profile = harness.Profile.read(path)
        self.assertIn(words, "\n".join(profile.comments))
        leaked = sum(values[3] for stack, values, _ in profile.samples if "leak_slowly" in stack)
        self.assertGreater(leaked, 8 << 20)
        return leaked

    def test_a_process_that_the_kernel_kills(self):
        group = Group(128 << 20)
        self.addCleanup(group.remove)
        path = self.path("oom.pb.gz")
        growth = Growth(leak=100e6, churn=0)
        self.addCleanup(growth.close, check=False)
        group.take(growth.pid)
        tool = start(growth.pid, "-seconds", 0, "-rate", 65536, "-o", self.path("end.pb.gz"), "-on-oom", path)
        growth.go()
        said = tool.communicate(timeout=120)[1]
        self.assertEqual(growth.process.wait(timeout=60), -signal.SIGKILL)
        self.assertEqual(tool.returncode, 12, said)
        self.assertRegex(said, rf"was killed \(SIGKILL\) because memory ran out: {group.path}/{group.events} has counted \d+ oom_kill")
        self.assertIn(f"killed for want of memory: wrote {path}", said)
        self.check_profile(path, "was killed (SIGKILL) because memory ran out")

    def test_a_bound_of_resident_memory(self):
        path, end = self.path("oom.pb.gz"), self.path("end.pb.gz")
        with Growth(leak=40e6, churn=0) as growth:
            code = executable_bytes(growth.pid)
            tool = start(growth.pid, "-seconds", 0, "-rate", 65536, "-o", end, "-on-oom", path, "-on-oom-rss", "32M")
            growth.go()
            harness.await_line(tool.stderr, f"wrote {path}")
            leaked = self.check_profile(path, "MiB are resident, more than 32.0 MiB")
            tool.send_signal(signal.SIGINT)
            said = tool.communicate(timeout=120)[1]
            self.assertEqual(tool.returncode, 0, said)
            self.assertNotIn("was killed", said)
            self.assertEqual(executable_bytes(growth.pid), code)
            self.assertGreater(growth.end()["leaked"], leaked / 2)
        self.assertTrue(harness.Profile.read(end).samples)

    def test_a_process_that_is_killed_by_somebody_else(self):
        path = self.path("oom.pb.gz")
        growth = Growth(leak=1e6, churn=0)
        self.addCleanup(growth.close, check=False)
        tool = start(growth.pid, "-seconds", 0, "-o", self.path("end.pb.gz"), "-on-oom", path)
        growth.process.send_signal(signal.SIGTERM)
        said = tool.communicate(timeout=120)[1]
        growth.process.wait(timeout=60)
        self.assertEqual(tool.returncode, 0, said)
        self.assertNotIn("because memory ran out", said)

    def test_a_file_that_cannot_be_written_is_found_out_before(self):
        taken = self.path("taken")
        with open(taken, "w"):
            pass
        with Growth(leak=1e6, churn=0) as growth:
            for file, words in ((taken, "exists"), (self.path("none/oom.pb.gz"), "-on-oom")):
                done = harness.attach("-p", growth.pid, "-mode", "heap", "-seconds", 1, "-o", self.path("end.pb.gz"), "-on-oom", file)
                self.assertEqual(done.returncode, 1, done.stderr)
                self.assertIn(words, done.stderr)
            for args, words in ((("-on-oom", taken), "-on-oom says nothing without -mode heap"),
                                (("-mode", "heap", "-on-oom-rss", "1G"), "-on-oom-rss says nothing without -on-oom FILE"),
                                (("-mode", "heap", "-on-oom", "-"), "give the name of a file"),
                                (("-mode", "heap", "-on-oom", taken, "-http", "127.0.0.1:0"), "does not go with -http")):
                done = harness.attach("-p", growth.pid, *args)
                self.assertEqual(done.returncode, 2, done.stderr)
                self.assertIn(words, done.stderr)
            growth.go()
            growth.end()


if __name__ == "__main__":
    harness.main()
