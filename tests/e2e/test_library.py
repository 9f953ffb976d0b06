# SPDX-License-Identifier: Apache-2.0
# asan: yes
"""Programs of other people: they see include/ and link one of the libraries (tests/library)."""

import glob
import os
import re

import harness
from harness import BUILD, ROOT, Profile, TempDir, run


def program(name, *args):
    return run([os.path.join(BUILD, "library", name), *args])


class Library(TempDir):
    def need_shared(self):
        if harness.built_with("CPROF_SANITIZE", "CPROF_FUZZ", "CPROF_COVERAGE"):
            self.skipTest("libcprof.so is not built with sanitizers, nor for fuzzing or coverage")

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

    def test_profiles_are_merged_and_a_stack_is_walked_and_named(self):
        path, merged = os.path.join(self.dir, "other.pb.gz"), os.path.join(self.dir, "merged.pb.gz")
        self.assertEqual(program("write_profile", path).returncode, 0)
        done = program("merge_profiles", merged, path, path, path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(program("read_profile", merged).stdout, "visits/count 2 samples, sum 12\n")
        self.assertRegex(program("walk_stack").stdout, r"\binnermost\noutermost\nmain\n(.*\n)+end: root\n$")

    def test_what_is_installed_builds_them_as_well(self):
        self.need_shared()
        for component in ("runtime", "development"):
            done = run(["cmake", "--install", BUILD, "--prefix", self.dir, "--component", component])
            self.assertEqual(done.returncode, 0, done.stderr)
        library, = (os.path.dirname(path) for path in glob.glob(f"{self.dir}/lib/**/libcprof.so", recursive=True))
        flags = run(["pkg-config", f"--define-variable=prefix={self.dir}", "--cflags", "--libs", "libcprof"],
                    env={**os.environ, "PKG_CONFIG_PATH": f"{library}/pkgconfig"})
        self.assertEqual(flags.returncode, 0, flags.stderr)
        profile = os.path.join(self.dir, "other.pb.gz")
        for name, args, said in (("write_profile.c", [profile], ""),
                                 ("read_profile.cc", [profile], "visits/count 2 samples, sum 4\n"),
                                 ("merge_profiles.c", [profile + "2", profile], ""),
                                 ("name_itself.c", [], "a_function_to_find"), ("walk_stack.c", [], "outermost\nmain\n")):
            built = os.path.join(self.dir, name.split(".")[0])
            compiler = ["c++", "-std=c++17"] if name.endswith(".cc") else ["cc", "-std=c17"]
            done = run([*compiler, "-g", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Werror", os.path.join(ROOT, "tests", "library", name),
                        "-o", built, f"-Wl,-rpath,{library}", *flags.stdout.split()])
            self.assertEqual(done.returncode, 0, done.stderr)
            done = run([built, *args])
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn(said, done.stdout)

    def test_it_exports_what_the_public_headers_declare_and_nothing_else(self):
        self.need_shared()
        library = os.path.join(BUILD, "libcprof.so")
        text = ""
        for path in glob.glob(os.path.join(ROOT, "include", "cprof", "*.h")):
            with open(path, encoding="utf-8") as file:
                text += file.read()
        names = [line.split()[-1].split("@")[0] for line in run(["nm", "-D", "--defined-only", library]).stdout.splitlines()]
        self.assertGreater(len(names), 90)
        self.assertEqual([n for n in names if n != "CPROF_0" and not re.search(rf"\b{n}\b", text)], [])
        for declared in ("cprof_pprof_decode", "cprof_merge", "cprof_builder_add", "cprof_unwind", "cprof_symbolizer_addr", "cprof_arch_x86_64"):
            self.assertIn(declared, names)


if __name__ == "__main__":
    harness.main()
