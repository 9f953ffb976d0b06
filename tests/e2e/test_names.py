# SPDX-License-Identifier: Apache-2.0
"""Names of real processes: the right file whatever became of it, and no name from a wrong one."""

import glob
import http.server
import lzma
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest

import harness
from harness import ATTACH, CPROF, Profile, Target, TempDir, attach, need, run, target_path

# Spins in one function with an inlined one; `ready` is printed first. SPIN is another name in each variant.
PROGRAM = r"""
#include <stdio.h>
#include <signal.h>
#include <unistd.h>
static volatile sig_atomic_t stop;
static void on_term(int sig) { (void)sig; stop = 1; }
static volatile unsigned long sink;
static inline __attribute__((always_inline)) void mix_inlined(void)
{
	for (int i = 0; i < 1000; i++)
		sink = sink * 31 + 7;
}
static __attribute__((noinline)) void SPIN(void)
{
	mix_inlined();
}
int main(void)
{
	signal(SIGTERM, on_term);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (!stop)
		SPIN();
	return 0;
}
"""


ENOUGH = 40  # samples, for shares of them to mean something


class Base(TempDir):
    def setUp(self):
        super().setUp()
        self.env = dict(os.environ, XDG_CACHE_HOME=self.path("cache"))

    def compile(self, name, *flags, spin="spin_here", out=None):
        need("gcc")
        out = out or self.path(name)
        os.makedirs(os.path.dirname(out), exist_ok=True)
        done = run(["gcc", "-O2", f"-DSPIN={spin}", "-x", "c", "-", "-o", out, *flags], input=PROGRAM)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def tool(self, *args):
        done = run([need(args[0]), *args[1:]])
        self.assertEqual(done.returncode, 0, f"{args}: {done.stderr}")
        return done.stdout

    def profile(self, pid, *args):
        return self.profile_and_words(pid, *args)[0]

    def profile_and_words(self, pid, *args):
        """The profile, and what was printed. On a busy machine a short window may see the target hardly run."""
        out, words = self.path("cpu.pb.gz"), ""
        for seconds in ("0.5", "3", "15"):
            done = attach("-p", pid, "-seconds", seconds, "-hz", 1000, "-user-only", "-o", out, "-f", *args, env=self.env)
            self.assertEqual(done.returncode, 0, done.stderr)
            words += done.stderr
            profile = Profile.read(out)
            if profile.total() > ENOUGH:
                break
        return profile, words

    def why(self, *args):
        done = attach("-why", *args, env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_spins(self, profile, name="spin_here", inlined=True):
        self.assertGreater(profile.total(), 20)
        share = profile.share(lambda stack, labels: name in stack)
        self.assertGreater(share, 0.95, f"{name} in {share:.2f} of the samples")
        if inlined:
            share = profile.share(lambda stack, labels: stack[0] == "mix_inlined")
            self.assertGreater(share, 0.9, f"mix_inlined in {share:.2f}")
        for location in profile.locations.values():
            for line in location["lines"]:
                self.assertTrue(line["name"] and line["system_name"])



def asks_a_child(process):
    """Has cprof-attach asked its child for a file's debug information? They share memory for each section; libbpf has a few such pieces."""
    with open(f"/proc/{process.pid}/maps") as file:
        return file.read().count("/dev/zero (deleted)") > 4


class Ahead(Base):
    """What naming takes is prepared by a child while the window is open, in every mode with stacks to name."""

    def test_packed_debug_information_is_unpacked_meanwhile_in_heap_block_and_mutex_modes(self):
        need("objcopy")
        rows = [("heap", "heap_churn", ["2"]), ("block", "locks", ["slow"]), ("mutex", "locks", ["slow"])]
        for mode, program, arguments in rows:
            with self.subTest(mode=mode):
                packed, out = self.path(mode), self.path(f"{mode}.pb.gz")
                run(["objcopy", "--compress-debug-sections=zlib", target_path(program), packed])
                with Target([packed, *arguments]) as target:
                    process = harness.Process(
                        [ATTACH, "-p", str(target.pid), "-mode", mode, "-seconds", "0", "-no-cache", "-v", "-o", out],
                        env=self.env, stderr=subprocess.PIPE, text=True)
                    harness.wait_until(lambda: process.poll() is not None or asks_a_child(process), "names are prepared", 120)
                    process.send_signal(signal.SIGINT)
                    words = process.communicate(timeout=120)[1]
                    self.assertEqual(process.returncode, 0, words)
                    self.assertRegex(words, r"prepared while sampling: [\d.]+ MB of debug information")
                    lines = [line for loc in Profile.read(out).locations.values() for line in loc["lines"]]
                    self.assertTrue(any("tests/targets/" in line["file"] and line["line"] for line in lines))
                    self.assertTrue(target.alive())


class Files(Base):
    def test_a_program_replaced_while_it_runs_keeps_its_own_names(self):
        program = self.compile("program", "-g")
        other = self.compile("other", "-g", spin="wrong_name")
        with Target([program]) as target:
            os.rename(other, program)
            profile = self.profile(target.pid)
        self.check_spins(profile)
        self.assertNotIn("wrong_name", str(profile.strings))

    def test_a_deleted_program_keeps_its_names(self):
        program = self.compile("program", "-g")
        with Target([program]) as target:
            os.unlink(program)
            self.check_spins(self.profile(target.pid))

    def test_a_library_cut_short_while_it_is_read_costs_names_and_nothing_else(self):
        program = self.compile("program", "-g")
        copy = self.path("copy")
        shutil.copy(program, copy)
        size = os.path.getsize(copy)
        for keep in (0, 1, 64, 4096, size // 2, size - 1):
            with open(program, "rb") as file:
                data = file.read()[:keep]
            with open(copy, "wb") as file:
                file.write(data)
            done = attach("-why", copy, env=self.env)
            self.assertIn(done.returncode, (0, 1), done.stderr)

    def test_a_program_without_a_file_system_has_names(self):
        program = self.compile("program", "-g")
        script = ("import os,sys\nfd=os.memfd_create('hidden')\nos.write(fd,open(sys.argv[1],'rb').read())\n"
                  "os.execve(fd,['hidden'],os.environ)")
        with Target([sys.executable, "-c", script, program]) as target:
            self.check_spins(self.profile(target.pid))

    @unittest.skipUnless(os.geteuid() == 0, "only root may change its root directory")
    def test_a_target_in_a_root_of_its_own_is_searched_there(self):
        root = self.path("root")
        program = self.compile("", "-g", "-static", "-Wl,--build-id", out=f"{root}/bin/program")
        build_id = self.build_id(program)
        debug = f"{root}/usr/lib/debug/.build-id/{build_id[:2]}/{build_id[2:]}.debug"
        os.makedirs(os.path.dirname(debug))
        self.tool("objcopy", "--only-keep-debug", program, debug)
        self.tool("strip", program)
        with Target(["/bin/program"], preexec_fn=lambda: os.chroot(root) or os.chdir("/")) as target:
            self.check_spins(self.profile(target.pid))
            self.assertIn(f"/root/usr/lib/debug/.build-id/{build_id[:2]}", self.why("-p", str(target.pid)))

    def build_id(self, path):
        notes = self.tool("readelf", "-n", path)
        return notes.split("Build ID:")[1].split()[0]


# A library whose function, build-id and so contents differ: a text of its own is put into the compiled file.
LIBRARY = r"""
static __attribute__((noinline)) int fn_00000(int x)
{
	volatile int s = 0;
	for (int i = 0; i < 2000; i++)
		s += i * x;
	return s;
}
int entry(int x) { return fn_00000(x) + 1; }
"""

HOST = r"""
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
static volatile sig_atomic_t stop;
static void on_term(int sig) { (void)sig; stop = 1; }
int main(int argc, char **argv)
{
	int n = argc - 1;
	int (**f)(int) = calloc((size_t)n, sizeof(*f));
	signal(SIGTERM, on_term);
	for (int i = 0; i < n; i++) {
		void *library = dlopen(argv[i + 1], RTLD_NOW | RTLD_LOCAL);
		if (!library || !(f[i] = (int (*)(int))dlsym(library, "entry")))
			return 1;
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (int i = 0; !stop; i = (i + 1) % n)
		f[i](i);
	return 0;
}
"""


# Puts the text of a library that it uses onto other memory, as programs do with their own for huge pages.
MOVER = r"""
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
void work_outer(volatile sig_atomic_t *);
static volatile sig_atomic_t stop;
static void on_term(int sig) { (void)sig; stop = 1; }
static int move(unsigned long start, unsigned long end, const char *how)
{
	size_t size = end - start;
	int fd = strcmp(how, "memfd") ? strcmp(how, "file") ? -1 : fileno(tmpfile()) : memfd_create("text", 0);
	int shared = fd >= 0 || strcmp(how, "shared") == 0;
	if (fd >= 0 && ftruncate(fd, (off_t)size))
		return 1;
	char *copy = mmap(NULL, size, PROT_READ | PROT_WRITE, (shared ? MAP_SHARED : MAP_PRIVATE) | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	if (copy == MAP_FAILED)
		return 1;
	memcpy(copy, (void *)start, size);
	/* Other code where the file has this: what is compared must not agree. */
	for (size_t i = 0; strcmp(how, "other") == 0 && i + 1 < size; i++)
		if (memcmp(copy + i, "\xcc\xcc", 2) == 0)
			copy[i] = (char)0xf4;
	return mprotect(copy, size, PROT_READ | PROT_EXEC) ||
	       mremap(copy, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)start) == MAP_FAILED;
}
int main(int argc, char **argv)
{
	char line[512], perms[8];
	unsigned long start, end;
	FILE *maps = fopen("/proc/self/maps", "r");
	signal(SIGTERM, on_term);
	while (argc > 1 && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3 && perms[2] == 'x' && strstr(line, "libwork.so"))
			if (move(start, end, argv[1]))
				return 1;
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	work_outer(&stop);
	return 0;
}
"""
WORK = r"""
#include <signal.h>
volatile unsigned long sink;
__attribute__((noinline)) static void work_inner(void) { for (int i = 0; i < 100000; i++) sink = sink * 31 + 7; }
__attribute__((noinline)) static void work_middle(void) { work_inner(); sink++; }
__attribute__((aligned(16384))) void work_outer(volatile sig_atomic_t *stop) { while (!*stop) work_middle(); }
__asm__(".text; .globl work_rest; work_rest: .fill 16384, 1, 0xcc");
"""


class MovedText(Base):
    def build(self):
        need("gcc")
        for source, out, flags in ((WORK, "libwork.so", ["-shared", "-fPIC"]), (MOVER, "mover", [self.path("libwork.so")])):
            done = run(["gcc", "-O1", "-g", "-fno-optimize-sibling-calls", "-x", "c", "-", "-x", "none", "-o", self.path(out),
                        *flags, f"-Wl,-rpath,{self.dir}"], input=source)
            self.assertEqual(done.returncode, 0, done.stderr)
        return self.path("mover")

    def check_moved(self, mover, how):
        with Target([mover, how]) as target:
            with open(f"/proc/{target.pid}/maps") as maps:
                self.assertFalse([line for line in maps if "libwork.so" in line and "r-xp" in line])
            profile = self.profile(target.pid)
        share = profile.share(lambda stack, labels: "main" in stack and stack[stack.index("main") - 1] == "work_outer")
        self.assertGreater(share, 0.95)
        inner = [line for location in profile.locations.values() for line in location["lines"] if line["name"] == "work_inner"]
        self.assertTrue(inner and all(line["line"] for line in inner))
        self.assertIn(self.path("libwork.so"), [mapping["file"] for mapping in profile.mappings])

    def test_text_on_other_memory_keeps_names_lines_and_stacks(self):
        mover = self.build()
        for how in ("private", "shared", "memfd", "file"):
            with self.subTest(how):
                self.check_moved(mover, how)

    def test_other_code_in_the_place_of_a_files_text_is_not_called_by_its_names(self):
        with Target([self.build(), "other"]) as target:
            profile = self.profile(target.pid)
        self.assertEqual(profile.share(lambda stack, labels: "work_inner" in stack or "work_outer" in stack), 0)
        # Executable memory without a file or a name is one row, wherever in it the addresses are.
        self.assertGreater(profile.share(lambda stack, labels: "[JIT]" in stack), 0.9)
        self.assertFalse([line["name"] for location in profile.locations.values() for line in location["lines"] if "[anon]" in line["name"]])


class ManyModules(Base):
    N = 2000

    def build(self):
        need("gcc")
        build_id = "11" * 20
        for source, out, flags in ((LIBRARY, "template", ["-g", "-shared", "-fPIC", "-nostdlib", f"-Wl,--build-id=0x{build_id}"]),
                                   (HOST, "host", ["-ldl"])):
            done = run(["gcc", "-O1", "-x", "c", "-", "-o", self.path(out), *flags], input=source)
            self.assertEqual(done.returncode, 0, done.stderr)
        with open(self.path("template"), "rb") as file:
            template = file.read()
        for i in range(self.N):
            own_id = (i + 1).to_bytes(20, "big")
            with open(self.path(f"l{i}.so"), "wb") as file:
                file.write(template.replace(bytes.fromhex(build_id), own_id).replace(b"fn_00000", b"fn_%05d" % i))
        return [self.path("host"), *(self.path(f"l{i}.so") for i in range(self.N))]

    def test_thousands_of_modules_are_named_each_by_its_own_file(self):
        with Target(self.build()) as target:
            profile = self.profile(target.pid)
        self.assertGreater(profile.total(), 20)
        leaves = {stack[0] for stack, _, _ in profile.samples}
        self.assertGreater(len(leaves), 20)
        share = profile.share(lambda stack, labels: stack[0].startswith("fn_") or stack[0] in ("entry", "main"))
        self.assertGreater(share, 0.95)
        files = {mapping["id"]: mapping["file"] for mapping in profile.mappings}
        for location in profile.locations.values():
            name = location["lines"][0]["name"]
            if name.startswith("fn_"):
                self.assertTrue(files[location["mapping"]].endswith(f"/l{int(name[3:])}.so"), (name, location))


class DebugFiles(Base):
    def split(self, *flags):
        """A stripped program and its debug file, tied together by a debuglink alone."""
        program = self.compile("program", "-g", *flags)
        os.makedirs(self.path(".debug"))
        debug = self.path(".debug/program.debug")
        self.tool("objcopy", "--only-keep-debug", program, debug)
        self.tool("strip", program)
        self.tool("objcopy", f"--add-gnu-debuglink={debug}", program)
        return program, debug

    def test_a_debuglink_whose_crc_agrees_is_followed(self):
        program, _ = self.split("-Wl,--build-id=none")
        with Target([program]) as target:
            self.check_spins(self.profile(target.pid))

    def test_a_debug_file_of_another_build_is_refused(self):
        program, debug = self.split("-Wl,--build-id=none")
        with open(debug, "ab") as file:
            file.write(b"x")
        self.assertIn("another build", self.why(program))
        with Target([program]) as target:
            profile = self.profile(target.pid)
        self.assertNotIn("spin_here", profile.strings)
        self.assertGreater(profile.share(lambda stack, labels: stack[0].startswith("program+0x")), 0.9)

    def test_a_debug_file_with_another_build_id_is_refused(self):
        program, debug = self.split("-Wl,--build-id=0x0102030405060708")
        other = self.compile("other", "-g", "-Wl,--build-id=0x0909090909090909", spin="wrong_name")
        self.tool("objcopy", "--only-keep-debug", other, debug)
        self.assertIn("its build-id differs", self.why(program))
        with Target([program]) as target:
            self.assertNotIn("wrong_name", self.profile(target.pid).strings)

    def test_mini_debug_info_names_functions(self):
        program = self.compile("program")
        mini = self.path("mini")
        self.tool("objcopy", "-S", "--keep-symbol=spin_here", "--remove-section=.comment", program, mini)
        with open(mini, "rb") as file:
            packed = lzma.compress(file.read())
        with open(self.path("mini.xz"), "wb") as file:
            file.write(packed)
        self.tool("strip", program)
        self.tool("objcopy", "--add-section", f".gnu_debugdata={self.path('mini.xz')}", program)
        self.assertIn("mini debug info", self.why(program))
        with Target([program]) as target:
            self.check_spins(self.profile(target.pid), inlined=False)

    def test_without_any_symbols_the_place_is_the_name(self):
        program = self.compile("program", "-static")
        self.tool("strip", program)
        with Target([program]) as target:
            profile, words = self.profile_and_words(target.pid)
        self.assertGreater(profile.share(lambda stack, labels: stack[0].startswith("program+0x")), 0.9)
        self.assertIn("functions none (stripped)", self.why(program))
        self.assertRegex(words.splitlines()[-1], r"^hint: \d+ % of the addresses are of program and have no name: cprof-attach -why ")

    def test_names_that_are_missing_are_told_once_and_not_where_that_is_not_wanted(self):
        stripped, named = self.compile("program", "-static"), self.compile("named", "-g")
        self.tool("strip", stripped)
        with Target([stripped]) as target:
            self.assertEqual(self.profile_and_words(target.pid, "-q")[1], "")
        with Target([named]) as target:
            self.assertNotIn("hint", self.profile_and_words(target.pid)[1])


JIT = r"""
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
int main(void)
{
	/* mov $1000000,%ecx; 1: dec %ecx; jnz 1b; ret */
	static const unsigned char code[] = { 0xb9, 0x40, 0x42, 0x0f, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xc3 };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char path[64];
	memcpy(page, code, sizeof(code));
	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	FILE *map = fopen(path, "w");
	fprintf(map, "%lx 100 LazyCompile:~hot loop /app/x.js:3\nbroken line\n", (unsigned long)page);
	fclose(map);
	printf("own pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (;;)
		((void (*)(void))page)();
}
"""


# The same code, named in a jitdump. A second record takes its place, a third is not finished yet.
JIT_DUMP = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>
static void load(int fd, void *page, unsigned long index, const char *name, int tail)
{
	uint64_t code = (uint64_t)page, head[7] = { 0, 1, 1, code, code, 100, index };
	size_t len = strlen(name) + 1;
	((uint32_t *)head)[1] = (uint32_t)(sizeof(head) + len + 10);
	if (write(fd, head, sizeof(head)) < 0 || write(fd, name, len) < 0 || write(fd, page, (size_t)tail) < 0)
		_exit(1);
}
int main(int argc, char **argv)
{
	static const unsigned char code[] = { 0xb9, 0x40, 0x42, 0x0f, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xc3 };
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint32_t header[10] = { 0x4a695444, 1, 40, 62, 0, (uint32_t)getpid() };
	char path[200];
	memcpy(page, code, sizeof(code));
	snprintf(path, sizeof(path), "%s/jit-%d.dump", argv[1], (int)getpid());
	int fd = open(path, O_RDWR | O_CREAT, 0600);
	if (argc < 2 || write(fd, header, sizeof(header)) < 0)
		return 1;
	mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
	load(fd, page, 1, "was here before", 10);
	load(fd, page, 2, "LazyCompile:~hot loop /app/x.js:3", 10);
	load(fd, (char *)page + 2048, 3, "in the making", 2);
	close(fd);
	printf("own pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (;;)
		((void (*)(void))page)();
}
"""


@unittest.skipUnless(os.uname().machine == "x86_64", "its machine code is for x86-64")
class Jit(Base):
    def build(self, source=JIT):
        need("gcc")
        out = self.path("jit")
        done = run(["gcc", "-O1", "-x", "c", "-", "-o", out], input=source)
        self.assertEqual(done.returncode, 0, done.stderr)
        return out

    def check(self, pid):
        profile = self.profile(pid)
        share = profile.share(lambda stack, labels: stack[0] == "LazyCompile:~hot loop /app/x.js:3")
        self.assertGreater(share, 0.95)

    def test_code_made_at_run_time_is_named_by_the_perf_map(self):
        target = Target([self.build()])
        self.addCleanup(lambda: os.path.exists(f"/tmp/perf-{target.pid}.map") and
                        os.unlink(f"/tmp/perf-{target.pid}.map"))
        try:
            self.check(target.pid)
            self.assertIn("from its perf map", self.why("-p", target.pid))
        finally:
            target.close(sig=signal.SIGKILL, check=False)

    def test_code_made_at_run_time_is_named_by_the_jitdump_that_it_has_mapped(self):
        target = Target([self.build(JIT_DUMP), self.dir])
        try:
            self.check(target.pid)
            text = self.why("-p", target.pid)
            self.assertIn("functions 3, from its jitdump", text)
            self.assertNotIn(".dump\n", text)  # the mark is no module
            for name in glob.glob(self.path("jit-*.dump")):
                os.unlink(name)  # the mapping still leads to it
            self.check(target.pid)
        finally:
            target.close(sig=signal.SIGKILL, check=False)

    @unittest.skipUnless(os.geteuid() == 0, "only root may make a pid namespace here")
    def test_the_map_is_found_under_the_pid_and_in_the_tmp_that_the_target_sees(self):
        need("unshare")
        trial = run(["unshare", "-m", "true"])
        if trial.returncode:  # in a chroot, whose / is no mount, our mounts could show outside
            self.skipTest(f"no private mounts here: {trial.stderr.strip()}")
        script = f"mount -t tmpfs none /tmp && exec {os.path.join('/mnt', 'jit')}"
        program = self.build()
        script = f"mount --bind {self.dir} /mnt && mount -t tmpfs none /tmp && exec /mnt/jit"
        target = Target(["unshare", "-m", "-p", "-f", "--kill-child", "sh", "-c", script])
        try:
            children = open(f"/proc/{target.pid}/task/{target.pid}/children").read().split()
            self.assertNotIn(f"own pid {children[0]}", target.said)
            self.check(int(children[0]))
        finally:
            target.close(sig=signal.SIGKILL, check=False)


class Cache(Base):
    def files(self):
        folder = self.path("cache/cprof")
        return sorted(os.path.join(folder, name) for name in os.listdir(folder)) if os.path.isdir(folder) else []

    def test_names_are_kept_by_build_id_and_a_broken_file_is_written_again(self):
        program = self.compile("program", "-g", "-Wl,--build-id")
        with Target([program]) as target:
            self.check_spins(self.profile(target.pid))
            mine = [path for path in self.files() if b"spin_here" in open(path, "rb").read()]
            self.assertEqual(len(mine), 1, self.files())
            self.assertEqual(os.stat(mine[0]).st_mode & 0o777, 0o600)
            good = open(mine[0], "rb").read()
            self.check_spins(self.profile(target.pid))
            for bad in (b"", b"nonsense", good[:-1], good[:50] + b"\xff" + good[51:], good + b"x"):
                with open(mine[0], "wb") as file:
                    file.write(bad)
                self.check_spins(self.profile(target.pid))
                self.assertIn(b"spin_here", open(mine[0], "rb").read())

    def test_it_can_be_turned_off(self):
        program = self.compile("program", "-g", "-Wl,--build-id")
        with Target([program]) as target:
            self.check_spins(self.profile(target.pid, "-no-cache"))
        self.assertEqual(self.files(), [])


class Symbolize(Base):
    def strip_names(self, path):
        """The profile as one that was taken without symbols: addresses, mappings and build-ids are left."""
        need("protoc")
        base = ["protoc", f"--proto_path={harness.ROOT}/convert/profile"]
        import re
        import zlib
        raw = zlib.decompress(open(path, "rb").read(), 31)
        text = subprocess.run([*base, "--decode=perftools.profiles.Profile", "profile.proto"], input=raw,
                              capture_output=True, check=True).stdout.decode("latin-1")
        text = re.sub(r"(?ms)^function \{\n.*?^\}\n", "", text)
        text = re.sub(r"(?ms)^  line \{\n.*?^  \}\n", "", text)
        text = re.sub(r"(?m)^  has_\w+: true\n", "", text)
        return subprocess.run([*base, "--encode=perftools.profiles.Profile", "profile.proto"],
                              input=text.encode("latin-1"), capture_output=True, check=True).stdout

    def test_a_profile_of_addresses_gets_the_names_it_would_have_had(self):
        program = self.compile("program", "-g", "-Wl,--build-id")
        with Target([program]) as target:
            want = self.profile(target.pid)
        with open(self.path("bare.pb.gz"), "wb") as file:
            file.write(self.strip_names(self.path("cpu.pb.gz")))
        bare = Profile.read(self.path("bare.pb.gz"))
        self.assertEqual(bare.functions, {})
        done = run([CPROF, "-symbolize", self.path("bare.pb.gz")], env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        named = Profile.read(self.path("bare.named.pb.gz"))
        self.assertEqual(sorted(stack for stack, _, _ in named.samples), sorted(stack for stack, _, _ in want.samples))
        top = run([CPROF, "-top", self.path("bare.pb.gz")], env=self.env)
        self.assertIn("spin_here", top.stdout)
        self.assertIn("(inline)", top.stdout)

    def test_names_that_have_come_since_take_the_place_of_addresses(self):
        program = self.compile("program", "-g", "-Wl,--build-id")
        debug = self.path("program.debug")
        subprocess.run(["objcopy", "--only-keep-debug", program, debug], check=True)
        subprocess.run(["strip", program], check=True)
        subprocess.run(["objcopy", f"--add-gnu-debuglink={debug}", program], check=True)
        os.rename(debug, self.path("later"))
        with Target([program]) as target:
            self.profile(target.pid)
        self.assertIn("program+0x", run([CPROF, "-top", self.path("cpu.pb.gz")], env=self.env).stdout)
        os.rename(self.path("later"), debug)
        done = run([CPROF, "-symbolize", self.path("cpu.pb.gz")], env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stderr, r"^named ([1-9]\d*) of \1 addresses")
        for path, args in ((self.path("cpu.named.pb.gz"), ["-symbolize=none"]), (self.path("cpu.pb.gz"), [])):
            top = run([CPROF, "-top", *args, path], env=self.env).stdout
            self.assertIn("spin_here", top)
            self.assertNotIn("program+0x", top)

    def test_without_a_build_id_the_path_will_do_and_that_is_said(self):
        program = self.compile("program", "-g", "-no-pie", "-Wl,--build-id=none")
        address = next(int(line.split()[0], 16) for line in run(["nm", program]).stdout.splitlines() if line.endswith(" main"))
        start = address & ~0xfff
        text = (f"heap profile: 1: 100 [1: 100] @ heap_v2/1\n1: 100 [1: 100] @ 0x{address + 5:x}\n\nMAPPED_LIBRARIES:\n"
                f"{start:x}-{start + 0x1000:x} r-xp {start - 0x400000:08x} 08:01 1 %s\n")
        os.mkdir(self.path("bin"))
        shutil.copy(program, self.path("bin/program"))
        for name, path, binary_path, want in (
                ("at its path", program, None, program), ("by its base name", "/nowhere/program", self.path("bin"), self.path("bin/program")),
                ("below a directory", program, "/nowhere:/", f"//{program}"), ("not at all", "/nowhere/program", "/nowhere", None)):
            with self.subTest(name):
                done = run([CPROF, "-top", "-"], input=text % path, env=dict(self.env, PPROF_BINARY_PATH=binary_path or ""))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(" main" in done.stdout, want is not None, done.stdout)
                self.assertEqual("has no build-ids" in done.stderr and f" {want}\n" in done.stderr, want is not None, done.stderr)
        # Where nobody knows where the file lay there is nothing to name.
        done = run([CPROF, "-top", "-"], input=f"heap profile: 1: 100 [1: 100] @ heap_v2/1\n1: 100 [1: 100] @ 0x{address + 5:x}\n", env=self.env)
        self.assertNotIn("main", done.stdout)

    def test_a_file_with_another_build_id_gives_no_names(self):
        program = self.compile("program", "-g", "-Wl,--build-id")
        with Target([program]) as target:
            self.profile(target.pid)
        with open(self.path("bare.pb.gz"), "wb") as file:
            file.write(self.strip_names(self.path("cpu.pb.gz")))
        self.compile("program", "-g", "-Wl,--build-id", spin="wrong_name")
        done = run([CPROF, "-symbolize", self.path("bare.pb.gz")], env=self.env)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertNotIn("wrong_name", Profile.read(self.path("bare.named.pb.gz")).strings)


class Handler(http.server.BaseHTTPRequestHandler):
    """A debuginfod server with one file; it notes what it was asked for."""

    def do_GET(self):
        self.server.asked.append(self.path)
        if self.path == f"/buildid/{self.server.build_id}/debuginfo":
            with open(self.server.file, "rb") as file:
                body = file.read()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            pieces = self.server.pieces
            for i in range(pieces):
                self.wfile.write(body[len(body) * i // pieces:len(body) * (i + 1) // pieces])
                self.wfile.flush()
                if pieces > 1:
                    time.sleep(0.7)
        else:
            self.send_error(404)

    def log_message(self, *args):
        pass


class Debuginfod(Base):
    def setUp(self):
        super().setUp()
        if not glob.glob("/usr/lib/*/libdebuginfod.so.1"):
            self.skipTest("libdebuginfod1 is not installed")
        self.program = self.compile("program", "-g", "-Wl,--build-id")
        self.tool("objcopy", "--only-keep-debug", self.program, self.path("debug"))
        notes = self.tool("readelf", "-n", self.program)
        self.tool("strip", self.program)
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.build_id = notes.split("Build ID:")[1].split()[0]
        self.server.file, self.server.asked, self.server.pieces = self.path("debug"), [], 1
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.env.update(DEBUGINFOD_URLS=f"http://127.0.0.1:{self.server.server_address[1]}",
                        DEBUGINFOD_CACHE_PATH=self.path("client-cache"))

    def test_nobody_is_asked_unless_the_user_wants_it(self):
        with Target([self.program]) as target:
            self.profile(target.pid)
        self.assertEqual(self.server.asked, [])

    def test_with_the_option_the_debug_file_comes_from_the_server(self):
        with Target([self.program]) as target:
            self.check_spins(self.profile(target.pid, "-debuginfod"))
        self.assertIn(f"/buildid/{self.server.build_id}/debuginfo", self.server.asked)

    def test_who_waits_is_told_for_what_and_how_far_it_is(self):
        with open(self.path("pad"), "wb") as file:
            file.write(os.urandom(1 << 20))
        self.tool("objcopy", f"--add-section=.pad={self.path('pad')}", self.path("debug"))
        self.server.pieces = 4
        with Target([self.program]) as target:
            _, words = self.profile_and_words(target.pid, "-debuginfod")
        self.assertIn(f"debuginfod: asking for the debug file of {self.program}", words)
        self.assertRegex(words, r"debuginfod: \d+ of \d{4} KB")

    def test_who_gets_nothing_is_told_why(self):
        self.server.build_id = "0000"
        with Target([self.program]) as target:
            _, words = self.profile_and_words(target.pid, "-debuginfod")
            self.assertIn(f"debuginfod: {self.program}: no server has it", words)
            self.env.pop("DEBUGINFOD_URLS")
            _, words = self.profile_and_words(target.pid, "-debuginfod")
            self.assertIn("debuginfod: DEBUGINFOD_URLS is not set", words)

    def test_a_file_of_another_build_is_refused_whoever_serves_it(self):
        other = self.compile("other", "-g", "-Wl,--build-id=0x0909090909090909", spin="wrong_name")
        self.tool("objcopy", "--only-keep-debug", other, self.path("debug"))
        with Target([self.program]) as target:
            self.assertNotIn("wrong_name", self.profile(target.pid, "-debuginfod").strings)

    def test_without_a_server_it_says_so(self):
        self.env.pop("DEBUGINFOD_URLS")
        self.assertIn("DEBUGINFOD_URLS is not set", self.why("-debuginfod", self.program))


class Why(Base):
    def test_it_names_the_package_and_what_was_looked_for(self):
        if not os.path.exists("/var/lib/dpkg/info") or not os.path.exists("/usr/bin/redis-server"):
            self.skipTest("no Debian with redis-server")
        text = self.why("/usr/bin/redis-server")
        self.assertIn("build-id", text)
        self.assertIn(".debug: not there", text)
        # The program is a link to a file of another package, and that one's debug package is the right one.
        self.assertIn("apt install redis-tools-dbgsym", text)

    def test_a_file_is_the_same_by_whatever_path_it_is_named(self):
        program = self.compile("program", "-g")
        os.makedirs(self.path(".debug"))
        self.tool("objcopy", "--only-keep-debug", program, self.path(".debug/program.debug"))
        self.tool("strip", program)
        self.tool("objcopy", f"--add-gnu-debuglink={self.path('.debug/program.debug')}", program)
        os.makedirs(self.path("elsewhere"))
        os.symlink(program, self.path("elsewhere/link"))
        for path, cwd in (("program", self.dir), ("../program", self.path("elsewhere")), (self.path("elsewhere/link"), "/")):
            done = run([ATTACH, "-why", path], env=self.env, cwd=cwd)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("inlined calls from the DWARF of the debug file", done.stdout, path)

    def test_it_refuses_what_is_no_program_and_says_why(self):
        done = attach("-why", "/etc/passwd")
        self.assertEqual(done.returncode, 1)
        self.assertIn("ELF", done.stderr)
        done = attach("-why", "/no/such/file")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/no/such/file", done.stderr)


if __name__ == "__main__":
    harness.main()
