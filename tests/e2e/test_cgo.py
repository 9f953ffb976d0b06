#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""C that Go calls: its stacks go on in the goroutine, as it was when the sample was taken and not as it is when that is read."""

import os
import shutil
import signal
import tempfile
import unittest

import harness

SOURCE = os.path.join(harness.ROOT, "tests", "targets", "lang", "callers_cgo.go")
# Each C function, and the only Go function that calls it.
CALLERS = {"c_left": "main.left", "c_right": "main.right", "c_hold": "main.holder"}


class Goroutines(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        go = harness.go_pprof()[0]
        cls.dir = tempfile.mkdtemp(prefix="cprof-test-")
        cls.addClassCleanup(shutil.rmtree, cls.dir, ignore_errors=True)
        env = dict(os.environ, GOFLAGS="-mod=mod", GO111MODULE="off", CGO_ENABLED="1", GOROOT="",
                   GOCACHE=os.path.abspath(os.path.join(harness.BUILD, "go-cache")))
        cls.programs = {}
        for mode in ("exe", "pie"):
            cls.programs[mode] = os.path.join(cls.dir, mode)
            done = harness.run([go, "build", f"-buildmode={mode}", "-o", cls.programs[mode], SOURCE], env=env)
            if done.returncode:
                raise unittest.SkipTest(f"go build does not work here: {done.stderr[:200]}")

    def profile(self, what, *options, mode="exe"):
        with harness.Target([self.programs[mode], what]) as target:
            path = os.path.join(self.dir, "profile.pb.gz")
            done = harness.run([harness.ATTACH, "-p", str(target.pid), "-seconds", "1", "-no-cache", "-q", "-f", "-o", path, *options])
            self.assertEqual(done.returncode, 0, done.stderr)
            target.process.send_signal(signal.SIGTERM)
            said = target.process.communicate(timeout=60)[0]
            self.assertIn("turns true", said)
        return harness.Profile.read(path)

    def check(self, profile, functions, index=0):
        """All stacks with one of `functions` go on under its own caller, to the root. What had to be read later (an interrupt that a
        hypervisor made long, a sample from before the shim knew Go's heap) is one in ten at most."""
        right = total = 0
        for stack, values, _ in profile.samples:
            inner = [name for name in stack if name in functions]
            if not inner:
                continue
            callers = set(CALLERS.values()) & set(stack)
            total += values[index]
            if callers == {CALLERS[inner[0]]} and stack[-1].startswith("runtime.goexit"):
                right += values[index]
        self.assertGreater(total, 0, profile.samples)
        self.assertGreaterEqual(right / total, 0.9, profile.samples)

    def test_heap(self):
        for mode in self.programs:
            with self.subTest(mode=mode):
                profile = self.profile("heap", "-mode", "heap", "-rate", "4096", mode=mode)
                alloc_space = profile.sample_types.index(("alloc_space", "bytes"))
                self.check(profile, ("c_left", "c_right"), alloc_space)
                for function in ("c_left", "c_right"):
                    self.assertGreater(profile.share(lambda s, l, f=function: f in s, alloc_space), 0.4)

    def test_block_in_the_kernel(self):
        profile = self.tier("locks", "-mode", "block", "-block-method", "bpf")
        self.check(profile, ("c_left", "c_right"))

    def test_mutex_in_the_kernel(self):
        profile = self.tier("locks", "-mode", "mutex", "-block-method", "bpf")
        self.check(profile, ("c_hold",))

    def test_wall_in_the_kernel(self):
        profile = self.tier("locks", "-mode", "wall", "-wall-method", "bpf")
        self.check(profile, ("c_left", "c_right", "c_hold"))

    def test_cpu_in_the_kernel(self):
        for mode in self.programs:
            with self.subTest(mode=mode):
                profile = self.tier("work", "-hz", "500", mode=mode)
                self.check(profile, ("c_left", "c_right"))
                for function in ("c_left", "c_right"):
                    self.assertGreater(profile.share(lambda s, l, f=function: f in s), 0.3)

    def test_a_goroutine_of_which_nothing_is_copied_is_read_later_or_cut_off(self):
        profile = self.profile("work", "-hz", "500", "-open", "thread-cpu")
        inner = [stack for stack, _, _ in profile.samples if {"c_left", "c_right"} & set(stack)]
        self.assertTrue(inner)
        for stack in inner:
            self.assertTrue(stack[-1].startswith("runtime.goexit") or
                            (stack[-1] == "[truncated]" and "runtime.asmcgocall" in stack[-2]), stack)

    def tier(self, *args, **more):
        if os.geteuid() != 0:
            raise unittest.SkipTest("loads a BPF program")
        return self.profile(*args, **more)


if __name__ == "__main__":
    harness.main()
