#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""What allocators hold already, read from outside, beside what the program knows that it holds. By each allocator there is."""

import os
import re
import subprocess
import unittest

import harness
from heap_harness import Truth, executable_bytes

TELL = os.path.join(harness.BUILD, "tools", "tell_heap")
LIBRARIES = "/usr/lib/x86_64-linux-gnu"


class Told:
    """What tell_heap says of one allocator."""

    def __init__(self, pid, name):
        run = harness.run([TELL, str(pid)])
        if run.returncode:
            raise AssertionError(f"tell_heap: {run.returncode}: {run.stderr}")
        found = re.search(rf"^allocator {re.escape(name)}\n((?:(?:part|error|untold|ranges) .*\n)*)", run.stdout, re.M)
        if not found:
            raise AssertionError(f"{name} was not found: {run.stdout}")
        self.text = found.group(1)
        self.parts = {m[1]: tuple(map(int, m[2].split())) for m in re.finditer(r"^part (\w+) (.*)$", self.text, re.M)}
        self.error = tuple(map(int, re.search(r"^error (.*)$", self.text, re.M).group(1).split()))
        self.ranges = int(re.search(r"^ranges (\d+)$", self.text, re.M).group(1))
        self.rows = [line for line in run.stdout.splitlines() if line.startswith(f"row {name}, ")]


def held_of(target):
    """How many blocks and bytes the program says that it holds."""
    return tuple(map(int, re.search(r"^held (\d+) (\d+)$", "\n".join(target.said), re.M).groups()))


def near(told, objects, size):
    """The C library and the allocator itself have some blocks of their own; each byte is one thing."""
    held, held_bytes, _ = told.parts["in_use"]
    if (abs(held - objects) > 0.01 * objects + 40 or abs(held_bytes - size) > 0.01 * size + (128 << 10) or
            sum(part[1] for part in told.parts.values()) != told.ranges):
        raise AssertionError(f"{objects} blocks, {size} bytes held: {told.text}")


class Allocators(harness.TempDir):
    def hold(self, name, threads, blocks, program="heap_held", preload=None):
        env = dict(os.environ, **({"LD_PRELOAD": preload} if preload else {}))
        with Truth([harness.target_path(program), str(threads), str(blocks)], env=env) as target:
            objects, size = held_of(target)
            code = executable_bytes(target.pid)
            told = Told(target.pid, name)
            near(told, objects, size)
            self.assertEqual(sum(int(row.split()[-2]) for row in told.rows), told.parts["in_use"][0], told.text)
            for part, (_, whole, absent) in told.parts.items():
                self.assertLessEqual(absent, whole, f"{part}: {told.text}")
            # A page that the kernel is moving at the moment may be missed.
            self.assertLessEqual(told.error[2], 2, told.text)
            # While it works there is no telling exactly, but it ends, and adds up.
            target.process.stdin.write("more\n")
            target.process.stdin.flush()
            busy = Told(target.pid, name)
            self.assertEqual(sum(part[1] for part in busy.parts.values()), busy.ranges, busy.text)
            target.process.stdout.readline()
            self.assertEqual(executable_bytes(target.pid), code)
            target.quit()
        return told

    def library(self, name):
        path = os.path.join(LIBRARIES, name)
        if not os.path.exists(path):
            raise unittest.SkipTest(f"{name} is not installed")
        return path

    def test_jemalloc(self):
        library = self.library("libjemalloc.so.2")
        for threads, blocks in ((1, 1000), (8, 20000)):
            told = self.hold("jemalloc", threads, blocks, preload=library)
        # What eight threads keep at hand is many times what is held in error.
        self.assertGreater(told.parts["cached"][0], 0.05 * told.parts["in_use"][0])

    def test_musl(self):
        for kind in ("static", "shared"):
            program = f"heap_held_musl_{kind}"
            if not os.path.exists(harness.target_path(program)):
                raise unittest.SkipTest("musl-gcc is not installed")
            for threads, blocks in ((1, 1000), (8, 20000)):
                self.hold("musl malloc", threads, blocks, program=program)

    def test_mimalloc(self):
        library = self.library("libmimalloc.so.2.0")
        for threads, blocks in ((1, 1000), (8, 20000)):
            self.hold("mimalloc", threads, blocks, preload=library)

    def test_gperftools(self):
        library = self.library("libtcmalloc_minimal.so.4")
        for threads, blocks in ((1, 1000), (8, 20000)):
            told = self.hold("tcmalloc (gperftools)", threads, blocks, preload=library)
        self.assertGreater(told.parts["cached"][0], 0.05 * told.parts["in_use"][0])


if __name__ == "__main__":
    harness.main()
