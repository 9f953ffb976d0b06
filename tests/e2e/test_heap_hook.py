#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""-heap-hook: allocators of a program's own are counted to the byte, once, and what cannot be meant is refused."""

import os
import time
import unittest

import harness
from heap_harness import Recording, Truth, executable_bytes, shim_pages, sums


class Pools(unittest.TestCase):
    def setUp(self):
        self.target = Truth("heap_pools")
        self.addCleanup(self.target.quit)

    def hooks(self):
        region = self.target.said[1].split()[1]
        specs = ["alloc=pool_take,size=arg2,free=pool_give,ptr=arg2", "alloc=slab_get,size=48,free=slab_put",
                 "alloc=grid_take,size=arg2:32*arg3:32", "alloc=items_take,size=arg1*24",
                 f"alloc={region},size=arg2,free=none", "alloc=hand_on@heap_pools,size=arg1",
                 "alloc=house::arena::take,size=arg2,free=house::arena::give(void*),ptr=arg2",
                 "alloc=pool_move,size=arg3,old=arg2"]
        return [word for spec in specs for word in ("-heap-hook", spec)]

    def test_every_kind_of_pool_is_counted_to_the_byte_and_once(self):
        before = executable_bytes(self.target.pid)
        recording = Recording(self.target.pid, "-rate", 1, *self.hooks())
        truth = self.target.tell("pools")
        profile = recording.stop()
        self.assertEqual(executable_bytes(self.target.pid), before)
        self.assertEqual(len(truth), 9)
        for name, want in truth.items():
            with self.subTest(user=name):
                self.assertEqual(sums(profile, name), want)
        # What the pools fetched from malloc meanwhile is in nobody's sum.
        self.assertEqual(profile.total(1), sum(t[1] for t in truth.values()))

    def test_without_hooks_only_malloc_is_seen(self):
        recording = Recording(self.target.pid, "-rate", 1)
        truth = self.target.tell("pools")
        profile = recording.stop()
        self.assertEqual(sums(profile, "use_plain"), truth["use_plain"])
        self.assertEqual(sums(profile, "use_slab"), (0, 0, 0, 0))
        self.assertGreater(sums(profile, "pool_refill")[1], 0)

    def test_sampled_pools_are_within_their_error(self):
        want = 0
        recording = Recording(self.target.pid, "-rate", 32768, *self.hooks())
        for _ in range(100):
            want += sum(t[1] for t in self.target.tell("pools").values())
            time.sleep(0.005)  # a server, not a burst: nothing may be lost
        profile = recording.stop()
        self.assertIn(" 0 lost", recording.stderr)
        # 1 / sqrt(samples), five times over
        self.assertLess(abs(profile.total(1) / want - 1), 5 / (want / 32768) ** 0.5, want)

    def refuse(self, spec, *says):
        result = harness.attach("-p", self.target.pid, "-mode", "heap", "-seconds", "0.1", "-o", "-", "-heap-hook", spec)
        self.assertEqual(result.returncode, 2, result.stderr)
        for text in says:
            self.assertIn(text, result.stderr)
        self.assertEqual(shim_pages(self.target.pid), [])

    def test_what_is_not_there_is_said_with_what_may_have_been_meant(self):
        region = int(self.target.said[1].split()[1], 16)
        self.refuse("alloc=pool_tak,size=arg2", 'no function "pool_tak"', "nearest names are: pool_take")
        self.refuse("alloc=arena::taek,size=arg2", "house::arena::take")
        self.refuse("alloc=pool_take@libnone,size=arg2", 'no program or library "libnone"')
        self.refuse("alloc=pool_take,size=arg2,free=qqqqqqqqq", 'no function "qqqqqqqqq"', "An address will do")
        self.refuse("alloc=0x1000,size=arg1", "0x1000 is not executable memory")
        self.refuse(f"alloc={region + 1:#x},size=arg1", "is inside of region_take", f"{region:#x}")
        self.refuse("alloc=pool_take,size=arg2,free=pool_take", "two different things")
        self.refuse("alloc=pool_take,size=arg7", "out of range")
        self.refuse("alloc=pool_take", "which argument is the size")
        self.refuse("pool_take", "is not alloc=FUNCTION")
        result = harness.attach("-p", self.target.pid, "-heap-hook", "alloc=a,size=arg1", "-o", "-")
        self.assertEqual((result.returncode, "-mode heap" in result.stderr), (2, True))


class Ambiguous(unittest.TestCase):
    def test_a_name_that_several_objects_have_is_refused_with_where_they_are(self):
        with Truth("heap_truth") as target:
            target.tell("load")
            result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.1", "-o", "-", "-heap-hook",
                                    "alloc=malloc,size=arg1")
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertRegex(result.stderr, r'"malloc" is the name of \d functions: 0x\w+ in /\S+, 0x\w+ in /')
            self.assertIn("libheap_pool.so", result.stderr)
            result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.1", "-o", os.devnull, "-f", "-heap-hook",
                                    "alloc=malloc@libheap_pool,size=arg1,free=free@libheap_pool.so")
            self.assertEqual(result.returncode, 0, result.stderr)
            target.quit()


if __name__ == "__main__":
    harness.main()
