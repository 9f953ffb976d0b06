#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode heap and somebody else's uprobes on the same functions: put on and taken off in the window, before it, across its ends."""

import concurrent.futures
import ctypes
import os
import random
import struct
import subprocess
import threading
import time
import unittest

import harness
from heap_harness import Recording, Truth, Watching, executable_bytes, kill_at_any_moment, shim_pages, sums

PERF_EVENT_OPEN = 298
ROUNDS = int(os.environ.get("CPROF_HEAP_FOREIGN", "4"))
CYCLES = int(os.environ.get("CPROF_HEAP_CYCLES", "25"))
LIBC = harness.LIBRARIES + "/libc.so.6"
C = ("malloc", "free", "calloc", "realloc", "memalign", "posix_memalign", "aligned_alloc", "valloc")
CXX = ("_Znwm", "_Znam", "_ZdlPv", "_ZdaPv", "_ZdlPvm")


def spots(pid, path, names):
    """Offsets in the file at which these functions begin, as the kernel wants them for a uprobe."""
    values = set()
    for dynamic in ([], ["-D"]):
        said = subprocess.run(["nm", *dynamic, "--defined-only", path], capture_output=True, text=True, check=True).stdout
        for words in map(str.split, said.split("\n")):
            if len(words) == 3 and words[1] in "TtWi" and words[2].split("@")[0] in names:
                values.add(int(words[0], 16))
    real, bias, out = os.path.realpath(path), None, []
    with open(path, "rb") as file:
        is_fixed = file.read(17)[16] == 2  # ET_EXEC
    with open(f"/proc/{pid}/maps") as maps:
        rows = [line.split() for line in maps if line.rstrip().endswith(real)]
    for row in rows:
        start, end = (int(x, 16) for x in row[0].split("-"))
        offset = int(row[2], 16)
        if bias is None:
            bias = 0 if is_fixed else start
        if "x" in row[1]:
            out += [value + bias - start + offset for value in values if start <= value + bias < end]
    return sorted(out)


class Uprobes:
    """Somebody else's uprobes (and uretprobes) in one process, by perf_event_open: they count, and go when they are closed."""

    libc = ctypes.CDLL(None, use_errno=True)

    def __init__(self, pid, path, offsets, returns=(), threads=2):
        self.path = ctypes.create_string_buffer(os.fsencode(os.path.realpath(path)))
        with open("/sys/bus/event_source/devices/uprobe/type") as file:
            self.type = int(file.read())
        self.fds = []
        # The breakpoints are for all threads; they are counted for one or two only. The oldest come first, and stay; numbers start anew at 300.
        tids = list(map(int, os.listdir(f"/proc/{pid}/task")))
        for offset, config in [(offset, 1) for offset in returns] + [(offset, 0) for offset in offsets]:
            for tid in dict.fromkeys([tids[len(tids) // 2], tids[0]][:threads]):
                self.open(tid, offset, config)
        if not self.fds:
            raise AssertionError(f"no uprobe could be placed: {os.strerror(ctypes.get_errno())}")

    def open(self, tid, offset, config):
        attr = struct.pack("<IIQQQQQIIQQ", self.type, 72, config, 0, 0, 0, 0, 0, 0, ctypes.addressof(self.path), offset)
        fd = self.libc.syscall(PERF_EVENT_OPEN, attr, tid, -1, -1, 8)
        if fd >= 0:
            self.fds.append(fd)

    def hits(self):
        return sum(struct.unpack("<Q", os.read(fd, 8))[0] for fd in self.fds)

    def close(self):
        """How often they were hit. Each waits for a grace period of the kernel's, so all wait together."""
        hits = self.hits()
        with concurrent.futures.ThreadPoolExecutor(len(self.fds)) as pool:
            list(pool.map(os.close, self.fds))
        self.fds = []
        return hits


@unittest.skipIf(os.geteuid(), "uprobes need root")
class Foreign(unittest.TestCase):
    def check_during(self, argv, library, functions, ending, env=None, returns=C[:4], rate=20000):
        target = harness.Target(argv, env=dict(os.environ, **(env or {})))
        self.addCleanup(target.process.kill)
        before = executable_bytes(target.pid)
        recording = Recording(target.pid, "-heap-method", "inline", "-rate", rate)
        offsets = spots(target.pid, library, functions)
        self.assertTrue(offsets)
        hits = 0
        for turn in range(ROUNDS):
            probes = Uprobes(target.pid, library, offsets, spots(target.pid, library, returns) if turn % 2 else ())
            harness.let_it_work(target.pid, 10)
            hits += probes.close()
            self.assertTrue(target.alive(), f"the target died in turn {turn}")
            time.sleep(0.05)
        profile = recording.stop()
        self.assertTrue(target.alive(), "the target died at the detach")
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertEqual(shim_pages(target.pid), [])
        self.assertIn(ending, target.close())
        self.assertGreater(hits, 100)
        self.assertGreater(sum(values[0] for _, values, _ in profile.samples), 1000)
        return recording, profile

    def test_they_come_and_go_during_the_window_with_glibc(self):
        self.check_during("heap_guest", LIBC, C[:4], "all well")

    def test_they_come_and_go_during_the_window_with_others(self):
        for name in ("libjemalloc.so.2", "libtcmalloc_minimal.so.4", "libmimalloc.so.2.0"):
            with self.subTest(name=name):
                library = harness.need_library(name)
                self.check_during(["heap_churn", "3"], library, C[:4], "bad 0", env={"LD_PRELOAD": library})

    def test_they_come_and_go_during_the_window_with_jemalloc_and_all_that_a_program_may_do(self):
        name = harness.need_library("libjemalloc.so.2")
        self.check_during("heap_guest", name, C[:2] + CXX, "all well", env={"LD_PRELOAD": name})

    def check_by_file(self, name, library):
        with Truth(name) as target:
            before = executable_bytes(target.pid)
            recording = Recording(target.pid, "-heap-method", "inline", "-rate", 1)
            probes = Uprobes(target.pid, library, spots(target.pid, library, C))
            truth = target.tell("every")
            self.assertGreater(probes.close(), 100)
            profile = recording.stop()
            self.assertEqual(executable_bytes(target.pid), before)
            target.tell("drop")
            target.quit()
        return truth, profile

    def test_they_come_and_go_in_a_static_program(self):
        name = "heap_truth_static"
        self.check_counts(*self.check_by_file(name, harness.target_path(name)))

    def test_they_come_and_go_with_musl(self):
        """Its malloc and free are but jumps: the kernel goes where these lead, past us, and no count is right meanwhile."""
        name = "heap_truth_musl"
        if not os.path.exists(harness.target_path(name)):
            raise unittest.SkipTest("musl-tools is not installed: heap_truth_musl was not built")
        truth, profile = self.check_by_file(name, harness.target_path(name))
        self.assertEqual(sums(profile, "way_calloc")[:2], truth["way_calloc"][:2])

    def check_counts(self, truth, profile):
        self.assertGreater(len(truth), 6)
        for name, want in truth.items():
            with self.subTest(function=name):
                self.assertEqual(sums(profile, name), want)

    def test_both_count_every_call(self):
        """-rate 1 is exact to the byte while they are there; a uretprobe hides who called, by which calls of each other are told
        apart too, but not what was asked for."""
        for returns in (False, True):
            with Truth("heap_truth") as target:
                before = executable_bytes(target.pid)
                recording = Recording(target.pid, "-heap-method", "inline", "-rate", 1)
                offsets = spots(target.pid, LIBC, C)
                probes = Uprobes(target.pid, LIBC, offsets, offsets if returns else ())
                truth = target.tell("every")
                self.assertGreater(probes.close(), 1000 * (1 + returns))
                profile = recording.stop()
                self.assertEqual(executable_bytes(target.pid), before)
                if returns:
                    for got, want in zip(map(sum, zip(*(values for _, values, _ in profile.samples))),
                                         map(sum, zip(*truth.values()))):
                        self.assertLess(abs(got - want), want * 0.02)
                else:
                    self.check_counts(truth, profile)
                target.tell("drop")
                target.quit()

    def test_one_that_is_there_at_the_detach_stays_and_goes_later(self):
        with Truth("heap_truth") as target:
            before = executable_bytes(target.pid)
            recording = Recording(target.pid, "-heap-method", "inline", "-rate", 1)
            offsets = spots(target.pid, LIBC, C)
            probes = Uprobes(target.pid, LIBC, offsets)
            target.tell("every")
            recording.stop()
            self.assertNotIn("not restored", recording.stderr)
            self.assertEqual(shim_pages(target.pid), [])
            self.assertEqual(self.differences(before, executable_bytes(target.pid)), [0xcc] * len(offsets))
            hits = probes.hits()
            target.tell("drop")
            target.tell("every")
            self.assertGreater(probes.close(), hits + 1000)
            self.assertEqual(executable_bytes(target.pid), before)
            target.quit()

    def differences(self, before, after):
        """What the bytes that changed are now."""
        self.assertEqual(before.keys(), after.keys())
        return [b for key in before if before[key] != after[key] for a, b in zip(before[key], after[key]) if a != b]

    def test_one_that_is_there_before_the_attach_is_left_alone(self):
        with Truth("heap_truth") as target:
            before = executable_bytes(target.pid)
            probes = Uprobes(target.pid, LIBC, spots(target.pid, LIBC, ("malloc", "free")))
            watched = executable_bytes(target.pid)
            result = harness.attach("-p", target.pid, "-mode", "heap", "-heap-method", "inline", "-seconds", "0.1", "-f", "-o",
                                    os.devnull)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertRegex(result.stderr, "not hooked: malloc in .*: there is a breakpoint in it already")
            self.assertEqual(executable_bytes(target.pid), watched)
            recording = Watching(target.pid, "auto", "-rate", 1)
            truth = target.tell("every")
            self.check_counts(truth, recording.stop())
            self.assertIn("libc.so.6 is watched by uprobes", recording.stderr)
            self.assertEqual(executable_bytes(target.pid), watched)
            probes.close()
            self.assertEqual(executable_bytes(target.pid), before)
            target.quit()

    def test_a_function_that_is_patched_at_its_first_byte_gets_its_other_bytes_back(self):
        """Nobody may call it while a uprobe is on it; but the uprobe may come, and go before the detach or after."""
        for early in (True, False):
            with Truth("heap_pools") as target:
                before = executable_bytes(target.pid)
                recording = Recording(target.pid, "-heap-method", "inline", "-rate", 1, "-heap-hook", "alloc=odd_take,size=arg1")
                path = harness.target_path("heap_pools")
                probes = Uprobes(target.pid, path, spots(target.pid, path, ("odd_take",)))
                if early:
                    probes.close()
                recording.stop()
                self.assertRegex(recording.stderr, r"hooked odd_take at .*, at its first byte")
                self.assertRegex(recording.stderr, r"1 of \d+ functions were patched at their first byte")
                self.assertNotIn("not restored", recording.stderr)
                self.assertEqual(self.differences(before, executable_bytes(target.pid)), [] if early else [0xcc])
                target.tell("odd")
                if not early:
                    self.assertEqual(probes.close(), 100)
                self.assertEqual(executable_bytes(target.pid), before)
                target.tell("odd")
                target.quit()

    def toggle(self, target, path, offsets, ends, counted):
        while not ends.is_set() and target.alive():
            some = random.sample(offsets, random.randint(1, len(offsets)))
            probes = Uprobes(target.pid, path, some, some[:1] if random.random() < 0.3 else (), threads=1)
            time.sleep(random.random() * 0.03)
            counted.append(probes.close())
            time.sleep(random.random() * 0.2)

    def while_they_come_and_go(self, target, work):
        """Call work() again and again, with uprobes on and off at moments of their own."""
        ends, counted = threading.Event(), []
        toggler = threading.Thread(target=self.toggle, args=(target, LIBC, spots(target.pid, LIBC, C[:4]), ends, counted))
        toggler.start()
        try:
            for _ in range(CYCLES):
                work()
                self.assertTrue(target.alive(), "the target died")
        finally:
            ends.set()
            toggler.join()
        self.assertGreater(sum(counted), 0)

    def test_they_come_and_go_at_any_moment_of_attach_and_detach(self):
        random.seed(3)
        target = harness.Target(["heap_churn", "3"])
        self.addCleanup(target.process.kill)
        before = executable_bytes(target.pid)
        statuses = []

        def cycle():
            result = harness.attach("-p", target.pid, "-mode", "heap", "-heap-method", "inline", "-rate", "65536", "-seconds",
                                    str(random.random() * 0.05), "-o", os.devnull, "-f")
            self.assertIn(result.returncode, (0, 1), result.stderr)
            self.assertNotIn("not restored", result.stderr)
            statuses.append("not hooked" in result.stderr)
        self.while_they_come_and_go(target, cycle)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn(False, statuses, "they were always there before us: the test shows nothing")
        self.assertIn("bad 0", target.close())

    def test_a_killed_profiler_is_repaired_while_they_come_and_go(self):
        random.seed(4)
        target = harness.Target(["heap_churn", "3"])
        self.addCleanup(target.process.kill)
        before = executable_bytes(target.pid)
        found = []

        def cycle():
            process = subprocess.Popen([harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-heap-method", "inline",
                                        "-seconds", "0.05", "-o", os.devnull, "-f", "-q"], stderr=subprocess.DEVNULL)
            kill_at_any_moment(process, target.pid, 0.2)
            self.assertTrue(target.alive(), "the target died with its profiler")
            found.append(bool(shim_pages(target.pid)))
            result = harness.attach("-repair", target.pid)
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(shim_pages(target.pid), [])
        self.while_they_come_and_go(target, cycle)
        self.assertEqual(executable_bytes(target.pid), before)
        self.assertIn(True, found, "no kill hit while attached: the test shows nothing")
        self.assertIn("bad 0", target.close())


if __name__ == "__main__":
    harness.main()
