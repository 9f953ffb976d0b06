#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pools whose first instructions somebody comes to are not given a jump there, and go on as before by whatever method."""

import os
import re
import unittest

import harness
from heap_harness import Truth, Watching, executable_bytes

POOLS = ("plain", "jump", "near", "condition", "cold", "address", "pointer", "table", "loop", "import")
REASONS = {
    "jump": "a jump leads into its first instructions, to byte 4",
    "near": "it branches back into its first instructions",
    "condition": "a jump leads into its first instructions, to byte 4",
    "cold": "a jump leads into its first instructions, to byte 4",
    "address": "an instruction that takes its address leads into its first instructions, to byte 4",
    "pointer": "a pointer leads into its first instructions, to byte 4",
    "table": "a table of jumps leads into its first instructions, to byte 4",
    "import": "another object has a pointer into its first instructions, to byte 4",
    "loop": "it branches back into its first instructions",
}


@unittest.skipUnless(os.uname().machine == "x86_64", "its pools are in assembly for x86-64")
class Ways(unittest.TestCase):
    def setUp(self):
        self.target = Truth("code_ways")
        self.addCleanup(self.target.quit)

    def hooks(self, names=POOLS):
        return [word for name in names for word in ("-heap-hook", f"alloc=take_{name},size=arg1,free=none")]

    def check_calls(self):
        self.assertEqual(self.target.tell("calls")[1], ["bad 0"])

    def test_what_somebody_comes_to_gets_no_jump_and_is_told_why(self):
        before = executable_bytes(self.target.pid)
        watching = Watching(self.target.pid, "inline", "-rate", "1", *self.hooks())
        self.check_calls()
        profile = watching.stop()
        self.check_calls()
        self.assertEqual(executable_bytes(self.target.pid), before)
        for name, reason in REASONS.items():
            with self.subTest(pool=name):
                self.assertRegex(watching.stderr, rf"not hooked: take_{name} in \S+: entry at 0x[0-9a-f]+: {re.escape(reason)}")
        self.assertNotRegex(watching.stderr, "not hooked: take_plain")
        # take_plain was called from the loop and by enter_plain, whose jump leaves no frame.
        self.assertEqual(sum(values[0] for stack, values, _ in profile.samples if "take_plain" in stack or "call_all" in stack), 2000)

    def test_by_uprobes_they_are_counted_and_go_on(self):
        try:
            watching = Watching(self.target.pid, "uprobe", "-rate", "1", *self.hooks(("loop", "cold")))
        except AssertionError as error:
            if "uprobe" in str(error):
                self.skipTest(f"no uprobes here: {error}")
            raise
        self.check_calls()
        watching.stop()
        self.check_calls()


if __name__ == "__main__":
    harness.main()
