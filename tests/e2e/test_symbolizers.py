#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our index and elfutils' libdwfl read the same debug information, and say the same of an address."""

import glob
import os
import signal
import subprocess

import harness
import symbolizer_programs
from harness import ATTACH, CPROF, Target, TempDir, attach_while_it_works, need, run, target_path
from symbolizer_programs import Comparison

ADDRESSES = 300  # of each program; tests/bench/symbolizers.py takes 10,000


class Differential(TempDir):
    def compare(self, path, n=ADDRESSES, flags=""):
        found = Comparison(path, n)
        self.assertEqual(found.notes, [])
        self.assertEqual(found.unexplained(flags), [])
        self.assertEqual(found.counts["addresses"], n)
        return found

    def test_cpp_programs_of_all_kinds(self):
        for name, compiler, flags in symbolizer_programs.CPP:
            need(compiler)
            with self.subTest(name):
                folder = self.path(name)
                os.mkdir(folder)
                path = symbolizer_programs.build_cpp(folder, compiler, flags)
                if path:
                    found = self.compare(path, flags=flags)
                    self.assertGreater(found.counts["same"], 0)

    def test_common_parts_of_dwz(self):
        need("dwz")
        need("g++")
        path = symbolizer_programs.build_cpp(self.dir, "g++", "-gdwarf-4")
        copy = self.path("q")
        run(["cp", path, copy])
        self.assertEqual(run(["dwz", "-m", self.path("common"), path, copy]).returncode, 0)
        self.compare(path)

    def test_rust(self):
        need("rustc")
        path = symbolizer_programs.build_rust(self.path(""))
        self.assertTrue(path)
        self.compare(path, 100)

    def test_go(self):
        need("go")
        path = symbolizer_programs.build_go(self.path(""))
        self.assertTrue(path)
        self.compare(path, 100)

    def test_what_debian_ships(self):
        """Symbols alone, mini symbols, and separate debug files where they are installed."""
        for pattern in ("/usr/bin/python3.11", "/usr/lib/x86_64-linux-gnu/libc.so.6", "/usr/lib/x86_64-linux-gnu/libstdc++.so.6"):
            for path in glob.glob(pattern):
                with self.subTest(path):
                    self.compare(os.path.realpath(path), 100)


class Programs(TempDir):
    def test_a_profile_has_the_same_names_whoever_reads_them(self):
        path = self.path("p.pb.gz")
        with Target([target_path("hot")]) as target:
            done = attach_while_it_works(target.pid, 15, "-hz", "500", "-symbolizer", "libdwfl", "-no-cache", "-o", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("libdw", done.stderr)
        as_taken = self.lines_of_hot(path, "index", "none")
        self.assertTrue(as_taken)
        for way in ("auto", "index", "libdwfl"):
            self.assertEqual((way, self.lines_of_hot(path, way, "local:force")), (way, as_taken))

    def test_nothing_of_the_library_is_loaded_before_the_window_has_ended(self):
        with Target([target_path("hot")]) as target:
            tool = harness.Process([ATTACH, "-p", str(target.pid), "-seconds", "0", "-symbolizer", "libdwfl", "-no-cache", "-o", self.path("w.pb.gz")],
                                   stderr=subprocess.PIPE, text=True)
            harness.wait_for_window(tool)
            ticks = harness.cpu_ticks(target.pid)
            harness.wait_until(lambda: harness.cpu_ticks(target.pid) > ticks + 5, "work in the window")
            with open(f"/proc/{tool.pid}/maps") as maps:
                files = {line.split()[-1] for line in maps}
            tool.send_signal(signal.SIGINT)
            _, words = tool.communicate(timeout=60)
            self.assertEqual(tool.returncode, 0, words)
        self.assertTrue(any("libelf" in file for file in files), files)  # libbpf's
        self.assertFalse([file for file in files if "libdw" in file])

    def lines_of_hot(self, path, way, how):
        """The rows of the program's own lines: of a function of glibc's there may be several names."""
        done = run([CPROF, "-symbolizer", way, f"-symbolize={how}", "-top", "-lines", path])
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line for line in done.stdout.split("\n") if "hot.c:" in line]

    def test_a_word_that_is_no_way_is_refused(self):
        for tool in (ATTACH, CPROF):
            done = run([tool, "-symbolizer", "gdb", *(["-p", "1"] if tool == ATTACH else ["x"])])
            self.assertEqual(done.returncode, 2)
            self.assertIn("-symbolizer gdb: auto, index or libdwfl", done.stderr)


if __name__ == "__main__":
    harness.main()
