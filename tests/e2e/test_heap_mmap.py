#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-heap-mmap: memory that a process maps past its allocators, and nothing that an allocator maps to serve others."""

import os
import unittest

import harness
from heap_harness import Truth, Watching, executable_bytes, sums

MAPPINGS = {"by_mmap": "anonymous", "by_syscall": "anonymous", "by_shared": "shared", "by_memfd": "memfd", "by_reserve": "reserved",
            "by_parts": "anonymous", "by_mremap": "anonymous", "by_sbrk": "brk", "by_shmat": "System V", "start_threads": "thread stack"}


def mapped(profile, name):
    total = [0, 0, 0, 0]
    for stack, values, labels in profile.samples:
        if labels.get("kind") == "mmap" and name in stack:
            total = [a + b for a, b in zip(total, values)]
    return tuple(total)


WITHOUT_BPF = ["setpriv", "--bounding-set=-bpf,-sys_admin", "--inh-caps=-bpf,-sys_admin"]
EXACT = unittest.skipIf(os.geteuid(), "to a user the kernel gives rings that are too small for all calls of a burst")


class Mapped(unittest.TestCase):
    def check_truth(self, profile, truth):
        self.assertEqual(set(truth), set(MAPPINGS))
        for name, want in truth.items():
            with self.subTest(function=name):
                self.assertEqual(mapped(profile, name), want)
        for stack, _, labels in profile.samples:
            if labels.get("kind") == "mmap":
                name = next((name for name in MAPPINGS if name in stack), " ".join(stack))
                self.assertIn(name, MAPPINGS)
                self.assertEqual(labels["mapping"], MAPPINGS[name])
                self.assertGreater(labels["bytes"], 0)

    def check(self, method, **how):
        with Truth("heap_mapper") as target:
            before = executable_bytes(target.pid)
            watching = Watching(target.pid, method, "-rate", 1, "-heap-mmap", **how)
            truth = target.tell("every")
            profile = watching.stop()
            self.assertEqual(executable_bytes(target.pid), before)
            self.check_truth(profile, truth)
            # What malloc maps is counted as malloc's: 40 blocks of a megabyte, and 20 of three that took the place of one each.
            self.assertEqual(sums(profile, "large_blocks"), (60, 40 * 2**20 + 60 * 2**20, 20, 20 * 2**20))
            self.assertEqual(mapped(profile, "large_blocks"), (0, 0, 0, 0))
            target.tell("drop")
            target.quit()
            return watching.stderr

    @EXACT
    def test_every_way_is_counted_to_the_page_and_what_malloc_maps_is_not(self):
        self.check("inline")

    @EXACT
    def test_the_same_with_nothing_injected(self):
        self.check("uprobe")

    @EXACT
    def test_the_same_thread_by_thread_where_bpf_is_not_permitted(self):
        said = self.check("inline", tool=(*WITHOUT_BPF, harness.ATTACH))
        self.assertIn("thread by thread", said)

    @EXACT
    def test_many_threads_take_few_descriptors_and_where_they_take_many_that_is_said_before(self):
        few = ["prlimit", "--nofile=300:300", "setpriv"]
        with harness.Target(["threads", "sleep", "600"]) as target:
            argv = [harness.ATTACH, "-p", str(target.pid), "-mode", "heap", "-heap-mmap", "-seconds", "0.1", "-o", "-"]
            # Neither has the right to more descriptors than that.
            done = harness.run([*few, "--bounding-set=-sys_resource", "--inh-caps=-sys_resource", *argv], text=False)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = harness.run([*few, *(f"{option},-sys_resource" for option in WITHOUT_BPF[1:]), *argv], text=False)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertRegex(done.stderr.decode(), r"60\d threads want 36\d\d descriptors")
            self.assertTrue(target.alive())

    def test_without_it_the_profile_is_what_it_was(self):
        with Truth("heap_mapper") as target:
            watching = Watching(target.pid, "inline", "-rate", 1)
            target.tell("every")
            profile = watching.stop()
            self.assertFalse([labels for _, _, labels in profile.samples if "kind" in labels])
            self.assertEqual(sums(profile, "by_mmap"), (0, 0, 0, 0))
            target.tell("drop")
            target.quit()

    def test_where_it_says_nothing_it_is_refused(self):
        for args, says in ((["-mode", "cpu"], "without -mode heap"), (["-mode", "heap", "-heap-since", "1s"], "does not go with -heap-since")):
            result = harness.attach("-p", os.getpid(), "-heap-mmap", "-seconds", "3", "-o", "-", *args)
            self.assertEqual(result.returncode, 2)
            self.assertIn(says, result.stderr)

    @EXACT
    def test_what_jemalloc_maps_is_its_own(self):
        self.check_library("libjemalloc.so.2")

    @EXACT
    def test_what_tcmalloc_maps_is_its_own_and_what_is_mapped_through_it_is_not(self):
        self.check_library("libtcmalloc_minimal.so.4")

    def check_library(self, name):
        library = f"/usr/lib/x86_64-linux-gnu/{name}"
        if not os.path.exists(library):
            raise unittest.SkipTest(f"{name} is not installed")
        with Truth("heap_mapper", env=dict(os.environ, LD_PRELOAD=library)) as target:
            watching = Watching(target.pid, "inline", "-rate", 1, "-heap-mmap")
            truth = target.tell("every")
            profile = watching.stop()
            self.check_truth(profile, truth)
            target.tell("drop")
            target.quit()


if __name__ == "__main__":
    harness.main()
