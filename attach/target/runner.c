/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/runner.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"

#define MAPS_TEXT_MAX ((size_t)512 << 20) /* as maps.c */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct cprof_runner none;

struct row {
	const char *name; /* of a file */
	struct cprof_runner runner;
};

#define EMULATES(file, tool)                                                                       \
	{                                                                                          \
		file,                                                                              \
		{                                                                                  \
			CPROF_RUNNER_EMULATES, tool                                                \
		}                                                                                  \
	}
#define MINDS(file, tool)                                                                          \
	{                                                                                          \
		file,                                                                              \
		{                                                                                  \
			CPROF_RUNNER_MINDS, tool                                                   \
		}                                                                                  \
	}

/* The whole name. */
static const struct row programs[] = {
	EMULATES("box64", "box64"),
	EMULATES("box86", "box86"),
	EMULATES("FEXInterpreter", "FEX"),
	EMULATES("FEXLoader", "FEX"),
	EMULATES("FEX", "FEX"),
	EMULATES("rosetta", "Rosetta"),
	EMULATES("blink", "blink"),
	EMULATES("pinbin", "Intel Pin"),
	EMULATES("runsc", "gVisor (runsc)"),
};

/* Beginnings of the names of files that are mapped; of gVisor's a memory file. */
static const struct row files[] = {
	EMULATES("vgpreload_", "valgrind"),
	EMULATES("libpindwarf.", "Intel Pin"),
	EMULATES("libpin3dwarf.", "Intel Pin"),
	EMULATES("pinbin", "Intel Pin"),
	EMULATES("libdynamorio.", "DynamoRIO"),
	EMULATES("libQBDI.", "QBDI"),
	EMULATES("memfd:runsc-memory", "gVisor (runsc)"),
	MINDS("librrpreload.", "rr"),
	MINDS("frida-agent", "Frida"),
};

static const struct row tracers[] = {
	MINDS("rr", "rr"),
	EMULATES("runsc", "gVisor (runsc)"),
};

static const char *const valgrind_tools[] = { "memcheck", "cachegrind", "callgrind", "helgrind",
					      "drd",      "massif",     "dhat",      "lackey",
					      "none",     "exp-bbv" };

static const char *const qemu_cpus[] = {
	"aarch64", "aarch64_be", "alpha",       "arm",     "armeb",      "cris",         "hexagon",
	"hppa",    "i386",       "loongarch64", "m68k",    "microblaze", "microblazeel", "mips",
	"mips64",  "mips64el",   "mipsel",      "mipsn32", "mipsn32el",  "nios2",        "or1k",
	"ppc",     "ppc64",      "ppc64le",     "riscv32", "riscv64",    "s390x",        "sh4",
	"sh4eb",   "sparc",      "sparc32plus", "sparc64", "x86_64",     "xtensa",       "xtensaeb",
};

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* "memcheck-amd64-linux" */
static bool is_valgrind(const char *base)
{
	const size_t n = strlen(base), tail = strlen("-linux");
	for (size_t i = 0; n > tail && i < COUNT(valgrind_tools); i++) {
		if (begins(base, valgrind_tools[i]) && base[strlen(valgrind_tools[i])] == '-' &&
		    strcmp(base + n - tail, "-linux") == 0)
			return true;
	}
	return false;
}

/* "qemu-arm", "qemu-arm-static"; not qemu-system-arm, which is a machine, nor qemu-img. */
static bool is_qemu_user(const char *base)
{
	if (!begins(base, "qemu-"))
		return false;
	base += strlen("qemu-");
	for (size_t i = 0; i < COUNT(qemu_cpus); i++) {
		const char *rest = base + strlen(qemu_cpus[i]);
		if (begins(base, qemu_cpus[i]) && (!*rest || strcmp(rest, "-static") == 0))
			return true;
	}
	return false;
}

struct cprof_runner cprof_runner_by_program(const char *base)
{
	if (is_valgrind(base))
		return (struct cprof_runner){ CPROF_RUNNER_EMULATES, "valgrind" };
	if (is_qemu_user(base))
		return (struct cprof_runner){ CPROF_RUNNER_EMULATES, "qemu-user" };
	for (size_t i = 0; i < COUNT(programs); i++) {
		if (strcmp(base, programs[i].name) == 0)
			return programs[i].runner;
	}
	return none;
}

/* The base name of the file on a line of maps, if it has one: what follows its last slash. */
static struct cprof_runner by_line(const char *line, size_t n)
{
	const char *base = memrchr(line, '/', n);
	for (size_t i = 0; base && i < COUNT(files); i++) {
		const size_t len = strlen(files[i].name);
		if (len < n - (size_t)(base - line) && begins(base + 1, files[i].name))
			return files[i].runner;
	}
	return none;
}

struct cprof_runner cprof_runner_by_maps(const char *maps)
{
	while (*maps) {
		const size_t n = strcspn(maps, "\n");
		const struct cprof_runner runner = by_line(maps, n);
		if (runner.kind)
			return runner;
		maps += n + (maps[n] == '\n');
	}
	return none;
}

struct cprof_runner cprof_runner_by_tracer(const char *base)
{
	for (size_t i = 0; i < COUNT(tracers); i++) {
		if (strcmp(base, tracers[i].name) == 0)
			return tracers[i].runner;
	}
	return none;
}

/* ---- of a process ---- */

/* The base name of the program that `pid` executes; "" where it cannot be read. */
static void program_of(pid_t pid, char *base, size_t n)
{
	char path[64], to[4096];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	const ssize_t len = readlink(path, to, sizeof(to) - 1);
	to[len > 0 ? len : 0] = 0;
	char *deleted = strstr(to, " (deleted)");
	if (deleted)
		*deleted = 0;
	const char *slash = strrchr(to, '/');
	snprintf(base, n, "%.255s", slash ? slash + 1 : to);
}

static struct cprof_runner of_tracer(pid_t pid)
{
	char text[4096], base[256];
	struct cprof_thread_status status;
	if (cprof_thread_read(pid, pid, "status", text, sizeof(text)) <= 0 ||
	    !cprof_thread_status_parse(text, &status) || !status.tracer)
		return none;
	program_of(status.tracer, base, sizeof(base));
	return cprof_runner_by_tracer(base);
}

struct cprof_error *cprof_runner_find(pid_t pid, struct cprof_runner *ret_runner)
{
	char base[256], path[64];
	program_of(pid, base, sizeof(base));
	*ret_runner = cprof_runner_by_program(base);
	if (!ret_runner->kind)
		*ret_runner = of_tracer(pid);
	if (ret_runner->kind)
		return NULL;
	CPROF_AUTO(buffer) struct cprof_buffer maps = { 0 };
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	struct cprof_error *err = cprof_file_read(path, MAPS_TEXT_MAX, &maps);
	if (!err)
		*ret_runner = cprof_runner_by_maps(cprof_buffer_text(&maps));
	if (err && err->code == CPROF_ERR_NO_MEMORY)
		return err;
	cprof_error_free(err);
	return NULL;
}
