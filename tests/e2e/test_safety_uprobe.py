#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-heap-method uprobe on programs that leave a pool's function in every way there is: the counts are exact, and the program goes on."""

import os
import time
import unittest

import harness
from heap_harness import Truth, Watching, executable_bytes

POOLS = ("swap", "hand", "throw", "jump", "end", "fork", "signal", "deep", "rep", "bnd", "imm", "end_of_other", "tail", "table")
HOOKS = [word for name in POOLS for word in ("-heap-hook", f"alloc=pool_{name},size=arg1,free=none")] + [
    "-heap-hook", "alloc=pool_clear,size=arg2,free=none"]


def taken_by(profile, name):
    """The four values of what this function called for itself, without what others allocate below it."""
    total = [0, 0, 0, 0]
    for stack, values, _ in profile.samples:
        if stack and stack[0] == name:
            total = [a + b for a, b in zip(total, values)]
    return tuple(total)


@unittest.skipIf(os.geteuid(), "uprobes need root")
class Leaves(unittest.TestCase):
    def check(self, *commands, method="uprobe", first=None):
        with Truth("heap_leaves") as target:
            if first:
                target.tell(first)
            before, footprint = executable_bytes(target.pid), harness.Footprint(target.pid)
            recording = Watching(target.pid, method, "-rate", 1, *HOOKS)
            truth = {}
            for command in commands:
                truth |= target.tell(command)
            profile = recording.stop()
            self.assertNotIn("not hooked", recording.stderr)
            self.assertIn(" 0 lost", recording.stderr)
            self.assertTrue(truth)
            for name, want in truth.items():
                with self.subTest(method=method, function=name):
                    self.assertEqual(taken_by(profile, name), want)
            self.assertEqual(executable_bytes(target.pid), before)
            footprint.check_unchanged(self)
            target.quit()
            return recording.stderr

    def test_coroutines_change_stacks_in_the_middle_of_an_allocation(self):
        self.check("coroutines")

    def test_exceptions_and_longjmps_leave_nothing_behind(self):
        said = self.check("exceptions", "jumps")
        self.assertRegex(said, r"[1-9]\d* sampled calls were left by an exception, a longjmp or the end of their thread")

    def test_threads_end_in_the_middle(self):
        self.check("threads", first="threads")  # the C library sets up its signals with the first of them

    def test_forks_signals_and_recursion_in_the_middle(self):
        self.check("forks", "signals", "recursion")

    def test_every_form_of_return(self):
        self.check("forms", "jumps_out")

    def test_a_program_that_traps_by_itself(self):
        self.check("own_traps")

    def test_a_forked_child_loses_the_breakpoints(self):
        with Truth("heap_leaves") as target:
            before = executable_bytes(target.pid)
            recording = Watching(target.pid, "uprobe", "-rate", 1, *HOOKS)
            _, (said,) = target.tell("a_child")
            child = int(said.split()[1])
            deadline = time.monotonic() + 60
            while executable_bytes(child) != before:  # cprof-attach looks once a second, and later where the machine is busy
                self.assertLess(time.monotonic(), deadline, "the child keeps its parent's breakpoints")
                time.sleep(0.05)
            self.assertNotEqual(executable_bytes(target.pid), before)
            recording.stop()
            self.assertEqual(executable_bytes(target.pid), before)
            self.assertEqual(executable_bytes(child), before)
            target.quit()

    def test_by_perf_events_it_is_the_same(self):
        self.check("exceptions", "jumps", "forms", "coroutines", method="uprobe-perf")


if __name__ == "__main__":
    harness.main()
