#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""Stacks that an allocator has sampled itself, long before we came: beside what the program knows that each of its functions holds."""

import math
import os
import re
import unittest

import harness
from heap_harness import Truth, Watching

LIBRARIES = "/usr/lib/x86_64-linux-gnu"
ROOT = "[before attach]"
FUNCTIONS = "keep_small", "keep_middle", "keep_large"


def library(name):
    path = os.path.join(LIBRARIES, name)
    if not os.path.exists(path):
        raise unittest.SkipTest(f"{name} is not installed")
    return path


class Sampler(Truth):
    """heap_sampled under an allocator that samples; .truth is {function: (objects, bytes)}."""

    def __init__(self, **env):
        super().__init__(["heap_sampled"], env={**os.environ, **env})
        self.truth = {words[1]: tuple(map(int, words[2:])) for words in map(str.split, self.said) if words[0] == "truth"}

    def tell(self, command):
        self.truth = super().tell(command)


class Sampled(harness.TempDir):
    def snapshot(self, target):
        path = self.path("heap.pb.gz")
        footprint = harness.Footprint(target.pid)
        run = harness.attach("-p", target.pid, "-mode", "heap", "-snapshot", "-f", "-o", path)
        self.assertEqual(run.returncode, 0, run.stderr)
        footprint.check_unchanged(self)
        return harness.Profile.read(path), run.stderr

    def sums(self, profile, name):
        """Blocks and bytes below this function, which are all of before; whoever else is in those stacks is no allocator's."""
        objects = size = 0
        at = profile.sample_types.index(("inuse_objects", "count"))
        for stack, values, labels in profile.samples:
            if name in stack and stack[-1] == ROOT and values[at]:
                self.assertEqual(stack[0], name, stack)
                self.assertEqual(stack[-2], self.allocator, stack)
                self.assertIn("main", stack)
                self.assertEqual("age" in labels, self.allocator == "jemalloc")
                objects, size = objects + values[at], size + values[at + 1]
        return objects, size

    def near(self, profile, truth):
        for name in FUNCTIONS:
            got, (objects, size) = self.sums(profile, name), truth[name]
            taken = 1 - math.exp(-size / objects / self.rate)
            # Six standard errors, and what is rounded and what the C library has in between. Of large blocks, which hardly are missed,
            # one in some hundred runs is, and a second: a whole number, and more than standard errors say.
            error = 6 * math.sqrt((1 - taken) / taken / objects) + 0.005 + 2 / objects
            for value, want in zip(got, truth[name]):
                self.assertLessEqual(abs(value - want), error * want, (name, got, truth[name], error))

    def adds_up(self, profile, stderr, allocator):
        """Nothing counts twice: all rows are, to the byte, what the allocator holds."""
        held = re.search(rf"{re.escape(allocator)} holds now .* in (\d+) blocks", stderr)
        self.assertEqual(sum(values[0] for stack, values, _ in profile.samples if stack[-2] == allocator), int(held[1]))

    def jemalloc(self, lg_rate):
        self.allocator, self.rate = "jemalloc", 1 << lg_rate
        return Sampler(LD_PRELOAD=library("libjemalloc.so.2"), MALLOC_CONF=f"prof:true,lg_prof_sample:{lg_rate}")

    def test_jemalloc_tells_who_allocated(self):
        # Its rate is found by what it counts: with another one nothing would fit.
        for lg_rate in 13, 15:
            with self.subTest(lg_rate=lg_rate), self.jemalloc(lg_rate) as target:
                if lg_rate == 13:
                    profile, stderr = self.snapshot(target)
                    self.near(profile, target.truth)
                    self.adds_up(profile, stderr, "jemalloc")
                target.tell("free")
                profile, stderr = self.snapshot(target)
                self.near(profile, target.truth)
                self.adds_up(profile, stderr, "jemalloc")
                target.quit()

    def test_jemalloc_that_profiles_but_not_yet_has_no_stacks(self):
        with Sampler(LD_PRELOAD=library("libjemalloc.so.2"), MALLOC_CONF="prof:true,prof_active:false") as target:
            profile, stderr = self.snapshot(target)
            self.adds_up(profile, stderr, "jemalloc")
            self.assertFalse([stack for stack, _, _ in profile.samples if "main" in stack])
            target.quit()

    def test_jemalloc_what_was_freed_while_we_watched_is_out(self):
        with self.jemalloc(14) as target:
            recording = Watching(target.pid, "auto", "-heap-baseline", "-rate", 4096)
            target.tell("free")
            target.tell("again")
            profile = recording.stop()
            self.near(profile, target.truth)
            # What lies at their places now is of after: jemalloc's samples of it do not count.
            self.assertEqual(self.sums(profile, "keep_later"), (0, 0))
            self.assertTrue([stack for stack, _, _ in profile.samples if "keep_later" in stack])
            target.quit()

    def gperftools(self, rate, name="libtcmalloc.so.4"):
        self.allocator, self.rate = "tcmalloc (gperftools)", rate
        return Sampler(LD_PRELOAD=library(name), TCMALLOC_SAMPLE_PARAMETER=str(rate))

    def test_gperftools_tells_who_allocated_where_it_samples(self):
        for rate in 8192, 30000:
            with self.subTest(rate=rate), self.gperftools(rate) as target:
                target.tell("free")
                profile, stderr = self.snapshot(target)
                self.near(profile, target.truth)
                self.adds_up(profile, stderr, self.allocator)
                target.quit()

    def test_gperftools_tells_where_its_heap_grew(self):
        with self.gperftools(0) as target:
            profile, _ = self.snapshot(target)
            self.assertEqual([name for name, _ in profile.sample_types],
                             ["inuse_objects", "inuse_space", "growth_objects", "growth_space"])
            grown = {}
            for stack, values, _ in profile.samples:
                if values[3]:
                    self.assertEqual(stack[-2:], [self.allocator, ROOT])
                    self.assertEqual(values[:2], [0, 0])
                    grown[stack[0]] = grown.get(stack[0], 0) + values[3]
            for name, (_, size) in target.truth.items():
                # It grows by a megabyte and more, for what comes then.
                self.assertLessEqual(abs(grown.get(name, 0) - size), 0.1 * size + (3 << 20), (name, grown, target.truth))
            target.quit()

    def test_gperftools_without_stacks_has_no_columns_for_them(self):
        with self.gperftools(0, "libtcmalloc_minimal.so.4") as target:
            profile, stderr = self.snapshot(target)
            self.assertEqual([name for name, _ in profile.sample_types], ["inuse_objects", "inuse_space"])
            self.adds_up(profile, stderr, self.allocator)
            target.quit()


if __name__ == "__main__":
    harness.main()
