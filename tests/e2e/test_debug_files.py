# SPDX-License-Identifier: Apache-2.0
"""Files that are found, against what elfutils' libdwfl finds: separate debug files, layout by layout, and the modules of a core file."""

import os
import subprocess
import unittest

import harness
from harness import Profile, TempDir, attach, run

SOURCE = "int twice(int x)\n{\n\treturn 2 * x;\n}\nint main(int n, char **v)\n{\n\t(void)v;\n\treturn twice(n);\n}\n"

LIST = os.path.join(harness.BUILD, "tools", "list_modules")

# Everything is put into place by a shell that sees a file system of its own at these, and nobody else does.
MOUNTS = "for dir in /usr/lib/debug /usr/local/share; do mount -t tmpfs none $dir || exit 9; done; "


class Layout:
    """`debug` lies at `path`, of the program at `program`; `link`: what its debuglink says. Where libdwfl and we differ, `why` says who is right."""

    def __init__(self, path, link=None, program="{dir}/program", build_id=True, debug="right", found=True, why=None):
        self.path, self.link, self.program, self.build_id, self.debug, self.found, self.why = path, link, program, build_id, debug, found, why


DEBUG = "/usr/lib/debug"
LAYOUTS = {
    "by build-id": Layout(DEBUG + "/.build-id/{id}.debug"),
    "link beside": Layout("{dir}/linked.debug", "linked.debug"),
    "link in .debug": Layout("{dir}/.debug/linked.debug", "linked.debug"),
    "link below /usr/lib/debug": Layout(DEBUG + "{dir}/linked.debug", "linked.debug"),
    "link, proved by its CRC": Layout("{dir}/linked.debug", "linked.debug", build_id=False),
    "link, /lib from before it was /usr/lib": Layout(DEBUG + "/local/share/linked.debug", "linked.debug", "/usr/local/share/program"),
    "no link, beside": Layout("{dir}/program.debug"),
    "no link, below /usr/lib/debug": Layout(DEBUG + "{dir}/program.debug"),
    "no link, the program's own name": Layout(DEBUG + "{dir}/program"),
    "another build": Layout(DEBUG + "{dir}/program.debug", debug="wrong", found=False),
    "another build by the link": Layout("{dir}/linked.debug", "linked.debug", debug="wrong", found=False),
    "no link and no build-id": Layout(DEBUG + "{dir}/program.debug", build_id=False, found=False, why="libdwfl takes it unproved"),
    "nowhere": Layout(DEBUG + "/elsewhere/program.debug", found=False),
}


class Finding(TempDir):
    def tool(self, *argv):
        done = run(list(argv))
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout


class DebugFiles(Finding):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if os.geteuid() != 0:
            raise unittest.SkipTest("mounts file systems of its own")
        harness.need_namespaces("-m")
        cls.addr2line = harness.need("eu-addr2line", "elfutils is not installed")

    def make(self, build_id):
        """The program, stripped, and debug files of it and of another build."""
        source = self.path("program.c")
        for debug, text in (("wrong", SOURCE.replace("2 * x", "3 * x")), ("right", SOURCE)):
            with open(source, "w") as file:
                file.write(text)
            self.tool("gcc", "-g", "-O0", "-Wl,--build-id=" + ("sha1" if build_id else "none"), source, "-o", self.path("program"))
            self.tool("objcopy", "--only-keep-debug", self.path("program"), self.path(debug))
        self.tool("strip", self.path("program"))

    def look(self, layout):
        """What libdwfl and what we find of main(): True or False, and our words."""
        self.make(layout.build_id)
        notes = self.tool("readelf", "-nW", self.path("program"))
        build_id = notes.split("Build ID: ")[1].split()[0] if layout.build_id else "0000"
        names = {"dir": self.dir, "id": build_id[:2] + "/" + build_id[2:]}
        program, path = layout.program.format(**names), layout.path.format(**names)
        main = next(line.split()[0] for line in self.tool("nm", self.path("right")).splitlines() if line.endswith(" main"))
        if layout.link:
            link = self.path(layout.link)
            os.link(self.path("right"), link)
            self.tool("objcopy", f"--add-gnu-debuglink={link}", self.path("program"))
            os.unlink(link)
        script = MOUNTS + ('[ "$1" = "$2" ] || cp "$1" "$2" || exit 9; mkdir -p "$(dirname "$4")" && cp "$3" "$4" || exit 9; '
                           '"$5" -e "$2" 0x$7 | head -1; exec "$6" -why "$2"')
        done = run(["unshare", "-m", "sh", "-c", script, "sh", self.path("program"), program, self.path(layout.debug), path, self.addr2line,
                    harness.ATTACH, main], env={**os.environ, "DEBUGINFOD_URLS": ""})
        self.assertEqual(done.returncode, 0, done.stderr)
        theirs, ours = done.stdout.split("\n", 1)
        return "program.c:" in theirs, "DWARF of the debug file" in ours and f"{path}: taken" in ours, ours

    def test_debug_files_are_found_where_libdwfl_finds_them_and_only_proved(self):
        for what, layout in LAYOUTS.items():
            with self.subTest(what):
                for name in os.listdir(self.dir):
                    run(["rm", "-rf", self.path(name)])
                theirs, ours, words = self.look(layout)
                self.assertEqual(ours, layout.found, words)
                self.assertEqual(theirs, layout.found or layout.why is not None)


class CoreModules(Finding):
    LIBRARY = "void park(void (*fn)(void))\n{\n\tfn();\n}\n"
    PROGRAM = ("#include <stdio.h>\n#include <unistd.h>\nvoid park(void (*fn)(void));\n"
               "static void wait(void)\n{\n\tputs(\"ready\");\n\tfflush(stdout);\n\tpause();\n}\nint main(void)\n{\n\tpark(wait);\n}\n")

    def core(self):
        """Of a process that waits in a library of ours."""
        harness.need("gcore", "gdb is not installed")
        library, program = self.path("libpark.so"), self.path("parked")
        for source, text in (("park.c", self.LIBRARY), ("parked.c", self.PROGRAM)):
            with open(self.path(source), "w") as file:
                file.write(text)
        self.tool("gcc", "-g", "-shared", "-fPIC", self.path("park.c"), "-o", library)
        self.tool("gcc", "-g", self.path("parked.c"), library, "-o", program)
        with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process:
            try:
                self.assertEqual(process.stdout.readline(), "ready\n")
                self.tool("gcore", "-o", self.path("core"), str(process.pid))
            finally:
                process.kill()
        return self.path(f"core.{process.pid}"), program, library

    def modules(self, where):
        """{start: (end, build-id, path)} of the code that we see in a process or core file."""
        lines = (line.split(" ", 3) for line in self.tool(LIST, where).splitlines())
        return {int(start, 16): (int(end, 16), build_id, path) for start, end, build_id, path in lines}

    def modules_by_libdwfl(self, *where):
        """{start: (end, build-id)}; files without a build-id are data here."""
        unstrip = harness.need("eu-unstrip", "elfutils is not installed")
        found = {}
        for line in self.tool(unstrip, "-n", *where).splitlines():
            place, build_id, *_ = line.split()
            if build_id != "-":
                start, size = (int(number, 16) for number in place.split("+"))
                found[start] = start + size, build_id.split("@")[0]
        return found

    def profile(self, core):
        done = attach("-mode", "threads", "-core", core, "-o", self.path("core.pb.gz"), "-f")
        self.assertEqual(done.returncode, 0, done.stderr)
        return Profile.read(self.path("core.pb.gz")), done.stderr

    def test_the_modules_of_a_core_file_are_those_that_libdwfl_sees(self):
        core, program, library = self.core()
        theirs, ours = self.modules_by_libdwfl("--core", core), self.modules(core)
        self.assertEqual({start: build_id for start, (_, build_id, _) in ours.items()},
                         {start: build_id for start, (_, build_id) in theirs.items()})
        for start, (end, _, path) in ours.items():  # theirs end with the last byte of memory, whatever of it is a file's
            self.assertLessEqual(end, theirs[start][0] + 4096, path)
        profile, _ = self.profile(core)
        self.assertLess({program, library}, {mapping["file"] for mapping in profile.mappings})
        for mapping in profile.mappings:
            self.assertIn((mapping["build_id"], mapping["file"]), {(build_id, path) for _, build_id, path in ours.values()})

    def test_the_modules_of_a_process_are_those_that_libdwfl_sees(self):
        code = "import ctypes, decimal, lzma, sqlite3, ssl, sys; print('ready', flush=True); sys.stdin.read()"
        with subprocess.Popen(["/usr/bin/python3", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            self.assertEqual(process.stdout.readline(), "ready\n")
            theirs, ours = self.modules_by_libdwfl("-p", str(process.pid)), self.modules(str(process.pid))
            process.stdin.close()
            self.assertEqual(process.wait(), 0)
        self.assertGreater(len(ours), 10)
        self.assertEqual({start: (end, build_id) for start, (end, build_id, _) in ours.items()}, theirs)

    def test_a_file_that_a_core_names_is_not_waited_for(self):
        core, _, library = self.core()
        os.unlink(library)
        os.mkfifo(library)  # eu-unstrip waits for its writer for ever
        profile, words = self.profile(core)
        self.assertTrue(any("wait" in stack for stack, _, _ in profile.samples), profile.samples)
        self.assertNotIn("made at run time", words)


if __name__ == "__main__":
    harness.main()
