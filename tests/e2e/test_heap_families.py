#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""-mode heap on every allocator there is a package for: each of its functions, to the byte, in -rate 1."""

import os
import shutil
import subprocess
import unittest

import harness
from heap_harness import Recording, Truth, Watching, executable_bytes, sums


class Families(harness.TempDir):
    def check(self, argv, command, at_least, env=None, hooks=()):
        with Truth(argv, env=env) as target:
            before = executable_bytes(target.pid)
            recording = Recording(target.pid, "-rate", 1, *hooks)
            truth = target.tell(command)
            profile = recording.stop()
            self.assertNotIn("not hooked", recording.stderr)
            self.assertIn(" 0 lost", recording.stderr)
            self.check_code(target, before, recording.stderr)
            self.assertGreaterEqual(len(truth), at_least)
            for name, want in truth.items():
                with self.subTest(function=name):
                    self.assertEqual(sums(profile, name), want)
            target.quit()

    def check_code(self, target, before, said):
        """All code is as it was. A program that catches signals which may switch fibers, as Go's run-time does, leaves frames of
        them about; one that names our page may be a fiber put aside in it (docs/heap.md, "Limits"). Then the page is
        kept, nothing leads to it, and it is said."""
        now = executable_bytes(target.pid)
        more = now.keys() - before.keys()
        if more:
            self.assertEqual(len(more), 1, now)
            self.assertIn("(nothing leads to it any more), because a fiber that a signal interrupted in it", said)
        self.assertEqual({where: now.get(where) for where in before}, dict(before))

    def preload(self, name, at_least):
        self.check("heap_families", "families", at_least, env=dict(os.environ, LD_PRELOAD=harness.need_library(name)))

    def test_glibc(self):
        self.check("heap_families", "families", 18)

    def test_jemalloc(self):
        self.preload("libjemalloc.so.2", 22)

    def test_tcmalloc(self):
        self.preload("libtcmalloc_minimal.so.4", 21)

    def test_mimalloc(self):
        self.preload("libmimalloc.so.2.0", 40)

    # ---- programs without symbols ----

    def stripped(self, name):
        """A copy without symbols, and the addresses that its functions had."""
        source = harness.target_path(name)
        if not os.path.exists(source):
            self.skipTest(f"{name} was not built (musl-tools is not installed)")
        copy = self.path(name)
        shutil.copy(source, copy)
        self.run_tool("strip", copy)
        nm = self.run_tool("nm", source).stdout.split("\n")
        return source, copy, {line.split()[2]: "0x" + line.split()[0] for line in nm if len(line.split()) == 3}

    def run_tool(self, *argv):
        result = harness.run([str(a) for a in argv])
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def add_mini_debug_info(self, source, copy):
        """As distributions make it: the names of functions, in an xz-compressed ELF file in .gnu_debugdata."""
        mini, keep = self.path("mini"), self.path("keep")
        names = self.run_tool("nm", "-f", "posix", "--defined-only", source).stdout.split("\n")
        with open(keep, "w", encoding="utf-8") as file:
            file.write("\n".join(sorted({n.split()[0] for n in names if n and n.split()[1] in "TtWw"})))
        self.run_tool("objcopy", "-S", f"--keep-symbols={keep}", source, mini)
        self.run_tool("xz", "-f", mini)
        self.run_tool("objcopy", "--add-section", f".gnu_debugdata={mini}.xz", copy)

    def test_static_stripped_programs_with_mini_debug_info(self):
        harness.need("xz")
        for name, at_least in (("heap_truth_static", 9), ("heap_truth_musl", 8)):
            source, copy, _ = self.stripped(name)
            self.add_mini_debug_info(source, copy)
            self.check(copy, "every", at_least)

    def test_a_static_stripped_program_with_a_separate_debug_file(self):
        source, copy, _ = self.stripped("heap_truth_static")
        self.run_tool("objcopy", "--only-keep-debug", source, self.path("names.debug"))
        self.run_tool("objcopy", f"--add-gnu-debuglink={self.path('names.debug')}", copy)
        self.check(copy, "every", 9)

    def test_a_static_stripped_program_is_refused_unless_its_functions_are_named_by_address(self):
        for name in ("heap_truth_static", "heap_truth_musl"):
            _, copy, at = self.stripped(name)
            with Truth(copy) as target:
                result = harness.attach("-p", target.pid, "-mode", "heap", "-seconds", "0.1", "-o", "-")
                self.assertEqual(result.returncode, 1)
                self.assertIn("no allocator was found", result.stderr)
                self.assertIn("-heap-hook", result.stderr)
                # Nothing says that these are the C library's, and what they call cannot all be told: uprobes, perhaps.
                recording = Watching(target.pid, "auto", "-rate", 1,
                                     "-heap-hook", f"alloc={at['malloc']},size=arg1,free={at['free']}",
                                     "-heap-hook", f"alloc={at['calloc']},size=arg1*arg2",
                                     "-heap-hook", f"alloc={at['realloc']},size=arg2,old=arg1",
                                     "-heap-hook", f"alloc={at['memalign']},size=arg2",
                                     "-heap-hook", f"alloc={at['aligned_alloc']},size=arg2")
                truth = target.tell("every")
                profile = recording.stop()
                # Nothing names the callers, but the sums are theirs.
                want = [sum(t[i] for n, t in truth.items() if n not in ("way_valloc", "way_posix_memalign")) for i in (1, 3)]
                got = [profile.total(1), profile.total(3)]
                for i in (0, 1):
                    self.assertGreaterEqual(got[i], want[i])
                self.assertLessEqual(got[0], sum(t[1] for t in truth.values()))
                target.quit()

    # ---- other languages ----

    def test_a_rust_program(self):
        rustc = harness.need("rustc", "no Rust toolchain is installed")
        source = os.path.join(harness.ROOT, "tests", "targets", "lang", "heap.rs")
        done = subprocess.run([rustc, "-O", "-g", "-o", self.path("rust"), source],
                              capture_output=True, text=True)
        if done.returncode:
            self.skipTest(f"rustc does not work here: {done.stderr[:200]}")
        self.check(self.path("rust"), "go", 5)

    def test_a_go_program_with_cgo(self):
        go = harness.go_pprof()[0]
        source = os.path.join(harness.ROOT, "tests", "targets", "lang", "heap_cgo.go")
        done = subprocess.run([go, "build", "-o", self.path("cgo"), source], capture_output=True, text=True, cwd=self.dir,
                              env=dict(os.environ, CGO_ENABLED="1", HOME=self.dir, GOFLAGS=""))
        if done.returncode:
            self.skipTest(f"go build does not work here: {done.stderr[:200]}")
        self.check(self.path("cgo"), "go", 1)


if __name__ == "__main__":
    harness.main()
