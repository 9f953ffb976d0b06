#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Our index and elfutils' libdwfl read the same debug information, and say the same of an address."""

import glob
import os
import signal
import subprocess

import harness
import symbolizer_programs
from harness import ATTACH, CPROF, Profile, Target, TempDir, attach, attach_while_it_works, need, run, target_path
from symbolizer_programs import Comparison

# `fn_00000` is another name in each copy.
LIBRARY = """
static inline __attribute__((always_inline)) void inner(void (*work)(void)) { work(); __asm__ volatile(""); }
static __attribute__((noinline)) void fn_00000(void (*work)(void)) { inner(work); __asm__ volatile(""); }
void (*entry)(void (*work)(void)) = fn_00000;
"""

# Each library has a thread that waits in it; the first two also come and go in turn, at work.
HOST = r"""
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
static pthread_barrier_t all;
typedef void (*library_fn)(void (*work)(void));
static void spin(void)
{
	struct timespec now, end;
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_nsec += 500000;
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec);
}
static void end(int sig)
{
	_exit(sig != SIGTERM);
}
static void wait_here(void)
{
	pthread_barrier_wait(&all);
	pause();
}
static const char *in_memory(const char *path, char *name, size_t cap)
{
	struct stat st;
	int from = open(path, O_RDONLY), to = memfd_create("library", 0);
	fstat(from, &st);
	if (sendfile(to, from, NULL, (size_t)st.st_size) != st.st_size)
		exit(1);
	snprintf(name, cap, "/proc/%d/fd/%d", (int)getpid(), to); /* a debugger opens it by that name, too */
	return name;
}
static void *use(const char *path, void (*work)(void))
{
	void *library = dlopen(path, RTLD_NOW);
	library_fn *entry = library ? dlsym(library, "entry") : NULL;
	if (!entry)
		exit(1);
	(*entry)(work);
	return library;
}
static void *park(void *path)
{
	return use(path, wait_here);
}
static void *park_in_memory(void *path)
{
	char name[64];
	return use(in_memory(path, name, sizeof(name)), wait_here);
}
int main(int argc, char **argv)
{
	signal(SIGTERM, end);
	pthread_barrier_init(&all, NULL, (unsigned)argc - 2);
	for (int i = 3; i < argc; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, i == 3 ? park_in_memory : park, argv[i]);
	}
	pthread_barrier_wait(&all);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (int i = 0;; i++)
		dlclose(use(argv[1 + i % 2], spin));
}
"""

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


class Process(TempDir):
    """One Dwfl of what a process has, and had, in its memory."""

    N = 200

    def build(self):
        need("gcc")
        sources = {"library.c": LIBRARY, "host.c": HOST}
        for name, text in sources.items():
            with open(self.path(name), "w") as file:
                file.write(text)
        for name, flags in (("library", ["-shared", "-fPIC", "-nostdlib", "-Wl,--build-id=0x" + "11" * 20]), ("host", ["-pthread"])):
            done = run(["gcc", "-O1", "-g", "-gz=none", "-D_GNU_SOURCE", self.path(f"{name}.c"), "-o", self.path(name), *flags])
            self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("library"), "rb") as file:
            template = file.read()
        for i in range(self.N):
            self.write_library(template, i, i)
        return template

    def write_library(self, template, at, i):
        with open(self.path(f"{at:05}.so"), "wb") as file:
            file.write(template.replace(bytes.fromhex("11" * 20), (i + 1).to_bytes(20, "big")).replace(b"fn_00000", b"fn_%05d" % i))

    def waiting(self, way, *where):
        """{library's function: the frames above the program's own} of the threads that wait."""
        path = self.path("waiting.pb.gz")
        done = attach(*where, "-mode", "threads", "-symbolizer", way, "-no-cache", "-f", "-o", path)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("libdw", done.stderr)
        profile, found = Profile.read(path), {}
        for sample in profile.raw["sample"]:
            lines = [line for number in sample["location_id"] for line in profile.locations[number]["lines"]]
            names = [line["name"] for line in lines]
            if "wait_here" in names:
                frames = [(line["name"], os.path.basename(line["file"]), line["line"], line["start_line"])
                          for line in lines[names.index("wait_here"):names.index("wait_here") + 4]]
                found[frames[2][0]] = frames
        return found

    def test_libraries_are_named_wherever_their_files_are_by_now(self):
        harness.need("gcore", "gdb is not installed")
        template = self.build()
        libraries = [self.path(f"{i:05}.so") for i in range(self.N)]
        with Target([self.path("host"), *libraries]) as target:
            os.unlink(libraries[3])
            os.unlink(libraries[4])
            self.write_library(template, 4, self.N)
            live = self.waiting("libdwfl", "-p", str(target.pid))
            self.assertEqual(set(live), {f"fn_{i:05}" for i in range(2, self.N)})
            for name, frames in live.items():
                self.assertEqual([frame[:2] for frame in frames[:3]], [("wait_here", "host.c"), ("inner", "library.c"), (name, "library.c")])
            self.assertEqual(self.waiting("auto", "-p", str(target.pid)), live)
            self.assertEqual(run(["gcore", "-o", self.path("core"), str(target.pid)]).returncode, 0)
        core = self.path(f"core.{target.pid}")
        self.assertEqual(self.waiting("libdwfl", "-core", core), self.waiting("auto", "-core", core))

    def test_libraries_that_took_each_others_place_keep_their_names(self):
        self.build()
        path = self.path("p.pb.gz")
        with Target([self.path("host"), *(self.path(f"{i:05}.so") for i in range(3))]) as target:
            done = attach_while_it_works(target.pid, 40, "-hz", "997", "-symbolizer", "libdwfl", "-no-cache", "-o", path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertNotIn("libdw", done.stderr)
        profile = Profile.read(path)
        for name in ("fn_00000", "fn_00001"):
            self.assertGreater(profile.share(lambda stack, labels, name=name: name in stack), 0.2)
        files = {mapping["id"]: mapping["file"] for mapping in profile.mappings}
        for location in profile.locations.values():
            names = [line["name"] for line in location["lines"]]
            if names[-1].startswith("fn_"):
                self.assertEqual(os.path.basename(files[location["mapping"]]), names[-1][3:] + ".so")
                self.assertLessEqual(set(names[:-1]), {"inner"})
            self.assertNotIn("[vdso]+", names[-1])
        for way in ("auto", "index"):
            self.assertEqual(self.lines(path, way, "local:force"), self.lines(path, way, "none"))

    def lines(self, path, way, how):
        done = run([CPROF, "-symbolizer", way, f"-symbolize={how}", "-top", "-lines", path])
        self.assertEqual(done.returncode, 0, done.stderr)
        return [line for line in done.stdout.split("\n") if "library.c:" in line or "host.c:" in line]


if __name__ == "__main__":
    harness.main()
