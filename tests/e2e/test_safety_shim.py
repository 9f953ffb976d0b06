#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the injected code may not assume of a target: which registers a caller gives away, whose memory lies beside a stack, that
a call comes back. Each target computes something meanwhile and says whether it was right."""

import os
import re
import signal
import struct
import unittest

import harness
from heap_harness import Recording, executable_bytes, shim_pages

INLINE = ("-heap-method", "inline")
ATTEMPTS = 20


def entry_end():
    """Offset in our page behind which everybody is counted who is inside: attach/heap/shim/shim.ld."""
    with open(os.path.join(harness.BUILD, "attach", "shim.bin"), "rb") as blob:
        return struct.unpack("<4I", blob.read()[-16:])[0]


def kill(target):
    """Only where the test did not end it."""
    target.process.kill()
    target.process.wait()


class Leaf(unittest.TestCase):
    """Values are held in call-clobbered registers and flags over calls of the program's own allocator."""

    def check(self, rate, *args, hook=()):
        target = harness.Target(["heap_leaf", *args])
        self.addCleanup(kill, target)
        before = executable_bytes(target.pid)
        recording = Recording(target.pid, "-rate", rate, *INLINE, *hook)
        harness.let_it_work(target.pid, 30)
        profile = recording.stop()
        self.assertEqual(executable_bytes(target.pid), before)
        harness.let_it_work(target.pid, 5)
        self.assertIn("all well", target.close())
        return profile, recording.stderr

    def test_own_malloc_keeps_all_registers_on_the_fast_way(self):
        _, said = self.check(1 << 40)
        self.assertRegex(said, r"hooked malloc at \S+ in \S*heap_leaf[^\n]*with all registers kept")
        self.assertRegex(said, r"hooked malloc at \S+ in \S*libc[^\n]*\n")
        self.assertNotRegex(said, r"hooked malloc at \S+ in \S*libc[^\n]*with all registers kept")

    def test_own_malloc_keeps_all_registers_when_each_call_is_a_sample(self):
        profile, _ = self.check(1)
        self.assertGreater(profile.total(1), 0)

    def test_a_thread_without_a_thread_pointer_runs_on(self):
        for rate in (1 << 40, 4096):
            with self.subTest(rate=rate):
                self.check(rate, "bare", hook=("-heap-hook", "alloc=other_get,size=arg1,free=other_put"))


class Fibers(harness.TempDir):
    def target(self, mode):
        target = harness.Target(["heap_fibers", mode])
        self.addCleanup(kill, target)
        return target

    def check_well(self, target):
        harness.let_it_work(target.pid, 5)
        self.assertIn("all well", target.close())

    def profile(self, target, *args, ticks=60):
        recording = Recording(target.pid, *INLINE, *args)
        harness.let_it_work(target.pid, ticks)
        profile = recording.stop()
        return profile, recording.stderr

    def profile_fibers(self, target):
        """A fiber that was put aside where a jump is to be refuses the attach, if its turn does not come soon; a busy machine, too."""
        for attempt in range(ATTEMPTS):
            try:
                return self.profile(target, "-rate", 1 << 40, "-heap-hook", "alloc=pool_take,size=arg1,free=none", ticks=20)[1]
            except AssertionError as error:
                if not re.search("keeps a fiber|the machine is too busy", str(error)) or attempt + 1 == ATTEMPTS:
                    raise
            harness.let_it_work(target.pid, 20)

    def test_stacks_beside_thread_local_storage_come_and_go(self):
        target = self.target("beside")
        profile, _ = self.profile(target, "-rate", 16384)
        self.assertGreater(profile.total(1), 0)
        self.assertEqual(shim_pages(target.pid), [])
        self.check_well(target)

    def test_stacks_of_threads_are_used_again_by_others(self):
        target = self.target("threads")
        profile, _ = self.profile(target, "-rate", 16384)
        self.assertGreater(profile.total(1), 0)
        self.assertEqual(shim_pages(target.pid), [])
        self.check_well(target)

    def test_a_signal_handler_that_jumps_out_of_a_pool_leaves_nothing_behind(self):
        target = self.target("jump")
        before = executable_bytes(target.pid)
        for rate in (1, 65536):
            profile, said = self.profile(target, "-rate", rate, "-heap-hook", "alloc=pool_take,size=arg1,free=none")
            self.assertGreater(sum(values[1] for stack, values, _ in profile.samples if "jump" in stack), 0)
            self.assertNotIn("stays mapped", said)
            self.assertEqual(executable_bytes(target.pid), before)
        self.check_well(target)

    def test_pages_that_must_stay_are_in_nobodys_way(self):
        target = harness.Target(["heap_fibers", "wait"])
        self.addCleanup(kill, target)
        before = executable_bytes(target.pid)
        hook = ("-heap-hook", "alloc=pool_wait,size=arg1,free=none")
        recording = Recording(target.pid, *INLINE, "-rate", 1, *hook)
        target.process.stdin.write("x\n")
        target.process.stdin.flush()
        self.assertEqual(target.process.stdout.readline().strip(), "inside")
        recording.stop()
        self.assertIn("a sampled allocation is still under way", recording.stderr)
        kept = shim_pages(target.pid)
        self.assertTrue(kept)
        # What is there leads nowhere, and the next one works beside it.
        result = harness.attach("-p", target.pid, "-mode", "heap", *INLINE, "-seconds", "0.2", "-rate", 1,
                                "-o", self.path("beside.pb.gz"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(shim_pages(target.pid), kept)
        result = harness.attach("-repair", target.pid)
        self.assertEqual(result.returncode, 1, result.stderr)
        os.kill(target.pid, signal.SIGUSR1)
        self.assertEqual(target.process.stdout.readline().strip(), "returned")
        result = harness.attach("-repair", target.pid)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(executable_bytes(target.pid), before)
        self.check_well(target)

    def test_fibers_that_a_signal_preempts_in_the_stub_come_back(self):
        target = self.target("preempt")
        before = executable_bytes(target.pid)
        # All fibers are in the pool nearly always, and many of them in the stub when the timer fires.
        for _ in range(4):
            said = self.profile_fibers(target)
        # They have their turns one after the other, as the processor lets them: ticks of its timer are not ticks of time.
        for _ in range(ATTEMPTS):
            harness.let_it_work(target.pid, 20)
            result = harness.attach("-repair", target.pid)
            if result.returncode == 0:
                break
        self.assertEqual(result.returncode, 0, result.stderr + said)
        self.assertEqual(executable_bytes(target.pid), before)
        self.check_well(target)

    def test_a_signal_frame_that_is_left_about_holds_no_page(self):
        target = harness.Target(["leftover_frame", str(entry_end())])
        self.addCleanup(kill, target)
        before = executable_bytes(target.pid)
        recording = Recording(target.pid, *INLINE, "-rate", 1)
        self.assertEqual(target.process.stdout.readline().strip(), "left")
        recording.stop()
        self.assertNotIn("stays mapped", recording.stderr)
        self.assertEqual(shim_pages(target.pid), [])
        self.assertEqual(executable_bytes(target.pid), before)
        self.check_well(target)

    def test_a_pool_that_switches_stacks_is_not_hooked_inline(self):
        target = self.target("switch")
        result = harness.attach("-p", target.pid, "-mode", "heap", *INLINE, "-seconds", "0.2",
                                "-o", self.path("switch.pb.gz"),
                                "-heap-hook", "alloc=pool_switch,size=arg1,free=none")
        self.assertRegex(result.stderr, r"not hooked: pool_switch in .*: that it is left by its own return only.*swapcontext")
        self.check_well(target)


if __name__ == "__main__":
    harness.main()
