# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""Programs of other people: they see include/ and link one of the libraries (tests/library)."""

import glob
import os

import harness
from harness import BUILD, ROOT, Profile, TempDir, run


def program(name, *args):
    return run([os.path.join(BUILD, "library", name), *args])


class Library(TempDir):
    def test_a_profile_that_another_program_built_is_read_by_everybody(self):
        path = os.path.join(self.dir, "other.pb.gz")
        done = program("write_profile", path)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))
        read = program("read_profile", path)
        self.assertEqual((read.returncode, read.stdout), (0, "visits/count 2 samples, sum 4\n"))
        top = run([harness.CPROF, "-top", path])
        self.assertRegex(top.stdout, r"3 75.00% +75.00% +3 75.00% +leaf\n +1 25.00% +100% +4 +100% +root\n")
        with open(path, "rb") as file:
            self.assertEqual(len(Profile(file.read()).samples), 2)

    def test_what_is_no_profile_is_refused_with_its_reason(self):
        path = os.path.join(self.dir, "bad.pb.gz")
        with open(path, "wb") as file:
            file.write(b"\x0a\xff\xff\xff")
        read = program("read_profile", path)
        self.assertEqual(read.returncode, 1)
        self.assertIn("malformed profile at byte 0", read.stderr)

    def test_a_program_names_an_address_of_its_own(self):
        done = program("name_itself")
        self.assertEqual(done.returncode, 0, done.stderr)
        with open(os.path.join(ROOT, "tests", "library", "name_itself.c"), encoding="utf-8") as file:
            line = file.read().split("a_function_to_find")[0].count("\n") + 1
        # Its own line, that of its brace, or that of its first statement.
        self.assertRegex(done.stdout, rf"^a_function_to_find .*name_itself\.c:({line}|{line + 1}|{line + 2})\n$")

    def test_every_public_header_is_compiled_by_the_program_in_cpp(self):
        with open(os.path.join(ROOT, "tests", "library", "read_profile.cc"), encoding="utf-8") as file:
            text = file.read()
        for path in glob.glob(os.path.join(ROOT, "include", "cprof", "*.h")):
            self.assertIn(f"#include <cprof/{os.path.basename(path)}>\n", text)


if __name__ == "__main__":
    harness.main()
