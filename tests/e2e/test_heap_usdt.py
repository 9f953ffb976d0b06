#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode heap of an allocator that samples itself and has probes otel_memory:alloc and :free: these are used, nothing is injected."""

import os
import unittest

import harness
from heap_harness import Truth, Watching, executable_bytes, shim_pages, sums


@unittest.skipUnless(os.geteuid() == 0, "uprobes need root here")
class Usdt(unittest.TestCase):
    def check_truth(self, profile, truth):
        self.assertEqual(set(truth), {"by_registers", "by_memory", "by_semaphore"})
        for name, want in truth.items():
            with self.subTest(function=name):
                self.assertEqual(sums(profile, name), want)
        for stack, _, labels in profile.samples:
            self.assertIn(stack[0], truth)  # not the allocator's own functions
            self.assertIn(labels["bytes"], (64, 128, 256, 512, 1024, 2048))

    def check(self, method):
        with Truth("heap_sampler") as target:
            before = executable_bytes(target.pid)
            watching = Watching(target.pid, method)
            self.assertEqual(shim_pages(target.pid), [])
            truth = target.tell("every")
            profile = watching.stop()
            self.check_truth(profile, truth)
            self.assertIn("its probes otel_memory:alloc, at 3 places", "\n".join(profile.comments))
            self.assertIn("no thread was stopped, nothing was injected", watching.stderr)
            self.assertEqual(executable_bytes(target.pid), before)
            self.assertEqual(target.tell("wanted")[1], ["wanted 0"])
            target.quit()

    def test_by_default_they_are_used_and_each_weight_counts(self):
        self.check("auto")

    def test_asked_for(self):
        self.check("usdt")

    def test_other_methods_watch_its_functions(self):
        with Truth("heap_sampler") as target:
            watching = Watching(target.pid, "inline", "-rate", 1)
            target.tell("every")
            profile = watching.stop()
            self.assertEqual(sums(profile, "by_registers")[0], 120)
            target.quit()

    def test_a_forked_child_runs_on_and_counts_for_nobody(self):
        with Truth("heap_sampler") as target:
            watching = Watching(target.pid, "usdt")
            _, said = target.tell("fork")
            self.assertEqual(said, ["child 0"])
            truth = target.tell("every")
            profile = watching.stop()
            for name, want in truth.items():
                self.assertEqual(sums(profile, name), want)
            target.quit()

    def test_a_place_that_uprobes_must_not_be_on_is_said_and_hooks_do_it(self):
        with Truth("heap_sampler_long") as target:
            refused = harness.attach("-p", target.pid, "-mode", "heap", "-heap-method", "usdt", "-seconds", "1", "-o", "-")
            self.assertEqual(refused.returncode, 1, refused.stderr)
            self.assertIn("nop of five bytes", refused.stderr)
            watching = Watching(target.pid, "auto", "-rate", 1)
            target.tell("every")
            profile = watching.stop()
            self.assertEqual(sums(profile, "by_registers")[0], 120)
            self.assertIn("its allocators are watched instead", "\n".join(profile.comments))
            target.quit()

    def test_a_process_without_them_is_refused_where_they_are_asked_for(self):
        with Truth("heap_truth") as target:
            result = harness.attach("-p", target.pid, "-mode", "heap", "-heap-method", "usdt", "-seconds", "1", "-o", "-")
            self.assertEqual(result.returncode, 1)
            self.assertIn("has probes otel_memory:alloc", result.stderr)
            target.tell("every")
            target.quit()

    def test_samples_that_cannot_be_are_left_out_and_said(self):
        with Truth("heap_sampler") as target:
            watching = Watching(target.pid, "usdt")
            target.tell("odd")
            truth = target.tell("every")
            profile = watching.stop()
            self.check_truth(profile, truth)
            self.assertIn("of 2 of its samples the program says what cannot be true", "\n".join(profile.comments))
            target.quit()

    def test_one_whose_sampling_is_off_is_said_to_be_so(self):
        with Truth("heap_sampler") as target:
            profile = Watching(target.pid, "usdt").stop()
            self.assertIn("the program took no sample", "\n".join(profile.comments))
            target.quit()


if __name__ == "__main__":
    harness.main()
