#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""What a process held before we came (-heap-baseline, -snapshot): blocks and bytes, by arena, size and C++ class, as it knows them
itself."""

import os
import re
import sys
import unittest

import harness
from heap_harness import Truth, Watching, sums

ROOT = "[before attach]"
LIBRARY = 72704


class Holder(Truth):
    """heap_before with some scenes; .objects and .bytes are what it holds, .types {class: objects}."""

    def __init__(self, *scenes, program="heap_before", **env):
        super().__init__([program, *scenes], env={**os.environ, **env})
        self.types = {}
        self.learn(self.said)

    def learn(self, lines):
        for line in lines:
            words = line.split(maxsplit=2)
            if words[0] == "truth":
                self.objects, self.bytes = int(words[1]), int(words[2])
            elif words[0] == "type":
                self.types[words[2]] = int(words[1])

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        self.learn(harness.await_line(self.process.stdout, "done"))


def totals(profile):
    """(objects, bytes) below the root, of a profile with two or four values."""
    objects = size = 0
    for stack, values, _ in profile.samples:
        if stack[-1] == ROOT:
            objects, size = objects + values[-2], size + values[-1]
    return objects, size


def error_of(stderr):
    """The error that the summary states of the objects."""
    return int(re.search(r"±(\d+) blocks\)", stderr).group(1))


class Before(harness.TempDir):
    def snapshot(self, target, *args):
        path = self.path("heap.pb.gz")
        footprint = harness.Footprint(target.pid)
        run = harness.attach("-p", target.pid, "-mode", "heap", "-snapshot", "-f", "-o", path, *args)
        self.assertEqual(run.returncode, 0, run.stderr)
        footprint.check_unchanged(self)
        self.stderr = run.stderr
        return harness.Profile.read(path)

    def near(self, got, want, share=0.01):
        self.assertLessEqual(abs(got - want), share * want, (got, want, self.stderr))

    def check(self, target, profile):
        objects, size = totals(profile)
        self.near(objects, target.objects)
        # The C++ library has a block of 72 KB of its own, for exceptions when there is no memory.
        self.near(size - LIBRARY, target.bytes)
        self.assertEqual(error_of(self.stderr), 0, self.stderr)
        target.quit()

    def test_a_still_heap_is_told_to_the_block(self):
        for program in "heap_before", "heap_before_static":
            with self.subTest(program), Holder("plain", program=program) as target:
                profile = self.snapshot(target)
                self.assertEqual(profile.sample_types, [("inuse_objects", "count"), ("inuse_space", "bytes")])
                for stack, values, labels in profile.samples:
                    self.assertEqual(stack[-3:], ["main arena", "glibc malloc", ROOT][-len(stack[-3:]):])
                    self.assertEqual(labels["bytes"], values[1] // values[0])
                self.check(target, profile)

    def test_threads_have_arenas_of_their_own(self):
        for program in "heap_before", "heap_before_static":
            with self.subTest(program), Holder("threads", program=program) as target:
                profile = self.snapshot(target)
                arenas = {stack[-3] for stack, _, _ in profile.samples}
                self.assertGreaterEqual(len(arenas), 2, arenas)
                self.check(target, profile)

    def test_holes_are_not_in_use(self):
        with Holder("fragmented") as target:
            self.check(target, self.snapshot(target))

    def test_what_lies_in_caches_is_not_in_use(self):
        with Holder("cached") as target:
            profile = self.snapshot(target)
            ready = int(re.search(r"at hand for the next call \((\d+) blocks\)", self.stderr).group(1))
            self.near(ready, 100000)
            self.check(target, profile)

    def test_large_blocks_are_mapped_by_themselves(self):
        with Holder("huge") as target:
            profile = self.snapshot(target)
            objects = sum(values[0] for stack, values, _ in profile.samples if "mapped by itself" in stack)
            self.assertEqual(objects, 41)
            self.near(totals(profile)[1], target.bytes)
            target.quit()

    def test_a_heap_that_cannot_grow_goes_on_elsewhere(self):
        with Holder("plain", "blocked", "huge") as target:
            self.check(target, self.snapshot(target))

    def test_objects_are_told_by_their_class(self):
        for program in "heap_before", "heap_before_static":
            with self.subTest(program), Holder("types", "plain", program=program) as target:
                profile = self.snapshot(target)
                for name, objects in target.types.items():
                    found = sum(values[0] for stack, values, _ in profile.samples if stack[0] == name)
                    self.assertEqual(found, objects, name)
                self.check(target, profile)

    def test_a_busy_heap_is_right_within_its_error(self):
        with Holder("plain", "busy") as target:
            profile = self.snapshot(target)
            # Two threads have 64 blocks each of their own.
            self.assertLessEqual(abs(totals(profile)[0] - target.objects), error_of(self.stderr) + 1000, self.stderr)
            target.quit()

    def test_headers_that_were_written_over_cost_what_lies_near_them(self):
        with Holder("plain", "threads") as target:
            target.tell("ruin")
            profile = self.snapshot(target)
            objects, size = totals(profile)
            self.assertGreater(objects, 0.5 * target.objects, self.stderr)
            self.assertLess(objects, 1.2 * target.objects, self.stderr)
            self.assertTrue(any("[allocated before attach]" == stack[-1] for stack, _, _ in profile.samples))
            target.quit()

    def test_of_what_was_held_before_only_what_is_held_still_counts(self):
        with Holder("plain") as target:
            before = target.objects
            recording = Watching(target.pid, "auto", "-heap-baseline", "-rate", 4096)
            target.tell("free 4")
            profile = recording.stop()
            self.stderr = recording.stderr
            self.assertEqual(len(profile.sample_types), 4)
            self.assertLess(target.objects, 0.76 * before)
            self.near(totals(profile)[0], target.objects)
            self.near(totals(profile)[1], target.bytes)
            target.quit()

    def test_new_blocks_at_the_places_of_old_ones_are_not_old(self):
        with Holder("plain") as target:
            recording = Watching(target.pid, "auto", "-heap-baseline", "-rate", 1)
            target.tell("again 4")
            profile = recording.stop()
            self.stderr = recording.stderr
            seen = sums(profile, "give_back")[2]
            # On a busy machine we may be too late for some, which are counted.
            lost = int(re.search(r"samples, ([\d,]+) lost", self.stderr).group(1).replace(",", ""))
            self.near(seen + lost, target.objects / 4)
            self.near(totals(profile)[0], target.objects - seen)
            target.quit()

    def test_of_a_process_that_ends_it_is_what_was_held_at_the_attach(self):
        with Holder("plain") as target:
            recording = Watching(target.pid, "auto", "-heap-baseline")
            target.quit()
            recording.process.wait(timeout=60)
            profile = recording.stop()
            self.stderr = recording.stderr
            self.assertIn("could not be asked again", self.stderr)
            self.near(totals(profile)[0], target.objects)

    def test_several_processes_are_told_apart(self):
        with Holder("plain") as one, Holder("huge") as other:
            path = self.path("heap.pb.gz")
            run = harness.attach("-p", f"{one.pid},{other.pid}", "-mode", "heap", "-snapshot", "-f", "-o", path)
            self.stderr = run.stderr
            self.assertEqual(run.returncode, 0, run.stderr)
            profile = harness.Profile.read(path)
            for target in one, other:
                objects = sum(values[0] for _, values, labels in profile.samples if labels["pid"] == target.pid)
                self.near(objects, target.objects, 0.1)
                target.quit()

    def test_what_is_in_no_allocator_that_can_be_read_is_one_sample(self):
        # A pool of its own, as another allocator has one; the C library's is there beside it, and told.
        pool = ("import mmap, os, sys; m = mmap.mmap(-1, 64 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); m.write(b'x' * (64 << 20));"
                "print('pid', os.getpid()); print('ready', flush=True); sys.stdin.readline(); assert m[-1:] == b'x'")
        with harness.Target([sys.executable, "-c", pool]) as target:
            profile = self.snapshot(target)
            untold = [(stack, values) for stack, values, _ in profile.samples if stack[-1] == "[allocated before attach]"]
            self.assertEqual(len(untold), 1, untold)
            self.assertIn("no allocator that can be read", untold[0][0][0])
            self.assertLessEqual(abs(untold[0][1][1] - (64 << 20)), 16 << 20)
            self.assertIn("cannot be told", self.stderr)
            self.assertGreater(totals(profile)[0], 100)
            target.process.stdin.write("\n")
            target.process.stdin.flush()
            self.assertEqual(target.process.wait(60), 0)


if __name__ == "__main__":
    harness.main()
