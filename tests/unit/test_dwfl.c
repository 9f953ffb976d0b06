/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/maps.h"
#include "cprof/module.h"
#include "cprof/symbolizer.h"
#include "symbolize/dwfl/dwfl_child.h"
#include "symbolize/dwfl/dwfl_frames.h"
#include "symbolize/dwfl/dwfl_reply.h"
#include "tests/unit/test.h"

/* This program's own module, and its files. */
struct own {
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_dwfl_files files;
	struct cprof_dwfl dwfl;
};

static void open_own(struct own *own, const char *path)
{
	*own = (struct own){ 0 };
	cprof_modules_init(&own->modules);
	CHECK(!cprof_modules_open(&own->modules, path, &own->module));
	CHECK(!cprof_elf_open(own->module->image, true, &own->files.self));
	CHECK(!cprof_dwfl_init(&own->dwfl));
}

static void close_own(struct own *own)
{
	cprof_dwfl_deinit(&own->dwfl);
	cprof_elf_free(own->files.self);
	cprof_modules_deinit(&own->modules);
}

/* A name that is found here, on a line that is known. */
__attribute__((noinline)) static int marked(int x)
{
	__asm__ volatile("" ::: "memory");
	return x + 1;
}
enum { MARKED_LINE = __LINE__ - 5 };

static uint64_t bias_at(const struct own *own, const struct cprof_maps *maps, uint64_t addr)
{
	const struct cprof_map *map = cprof_maps_find(maps, addr);
	uint64_t file_addr;
	CHECK(map && cprof_module_file_addr(own->module, map, addr, &file_addr));
	return addr - file_addr;
}

TEST(dwfl_names_a_function_of_a_running_process_at_its_address_there)
{
	struct own own;
	struct cprof_dwfl_module *module, *other;
	struct cprof_dwarf_frame frames[8];
	struct cprof_maps maps;
	const uint64_t addr = (uint64_t)(uintptr_t)marked;
	CHECK(marked(1) == 2);
	cprof_maps_init(&maps, getpid(), (struct cprof_memory){ 0 });
	CHECK(!cprof_maps_refresh(&maps));
	open_own(&own, "/proc/self/exe");
	CHECK(!cprof_dwfl_report(&own.dwfl, &own.files, bias_at(&own, &maps, addr), &module));
	CHECK(cprof_dwfl_at(&own.dwfl, addr) == module);
	/* Where another file was before, or after. */
	CHECK(!cprof_dwfl_report(&own.dwfl, &own.files, bias_at(&own, &maps, addr), &other));
	CHECK(other->mod != module->mod);
	struct cprof_dwfl_namer namer = { .module = module };
	CHECK_UINT(cprof_dwfl_namer_ask(&namer, addr, frames, 8), 1);
	CHECK_STR(frames[0].name, "marked");
	CHECK_STR(frames[0].linkage_name, "marked");
	CHECK(strstr(frames[0].file, "tests/unit/test_dwfl.c"));
	/* Several lines have no code but this. */
	CHECK(frames[0].line >= MARKED_LINE && frames[0].line <= MARKED_LINE + 3);
	CHECK_UINT(frames[0].start_line, MARKED_LINE);
	cprof_dwfl_namer_deinit(&namer);
	close_own(&own);
	cprof_maps_deinit(&maps);
}

/* ---- files whose form our reader does not know ---- */

struct built {
	char dir[64];
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_symbolizer_options options;
	struct cprof_symbolizer *symbolizer;
};

static void begin(struct built *built, enum cprof_symbolizer_way way)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/p", built->dir);
	built->options = (struct cprof_symbolizer_options){ .way = way };
	cprof_modules_init(&built->modules);
	CHECK(!cprof_modules_open(&built->modules, path, &built->module));
	CHECK(!cprof_symbolizer_new(&built->options, &built->modules, &built->symbolizer));
}

static void end(struct built *built)
{
	cprof_symbolizer_free(built->symbolizer);
	cprof_modules_deinit(&built->modules);
}

static void run(const char *format, const char *dir, const char *flags)
{
	char command[512];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(command, sizeof(command), format, dir, flags);
#pragma GCC diagnostic pop
	CHECK(system(command) == 0);
}

/* `text` is the source of a program p: assembler, or C++ for .cc. */
static void build(struct built *built, const char *text, const char *suffix, const char *flags)
{
	char path[96];
	*built = (struct built){ 0 };
	strcpy(built->dir, "/tmp/cprof-test-XXXXXX");
	CHECK(mkdtemp(built->dir));
	snprintf(path, sizeof(path), "%s/s%s", built->dir, suffix);
	FILE *file = fopen(path, "w");
	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
	run("cd %s && g++ -O2 -no-pie %s s.* -o p", built->dir, flags);
}

static void discard(struct built *built)
{
	run("rm -rf %s%s", built->dir, "");
}

static uint64_t address(const struct built *built, const char *symbol)
{
	char command[160], line[256] = "";
	snprintf(command, sizeof(command), "nm %s/p | grep ' %s$'", built->dir, symbol);
	FILE *pipe = popen(command, "r");
	CHECK(pipe && fgets(line, sizeof(line), pipe) && pclose(pipe) == 0);
	return strtoull(line, NULL, 16);
}

/* The frames at `symbol` in that way; they live as long as the symbolizer. */
static size_t ask(struct built *built, const char *symbol,
		  const struct cprof_symbol_frame **ret_frames)
{
	size_t n;
	CHECK(!cprof_symbolizer_file_addr(built->symbolizer, built->module, address(built, symbol),
					  ret_frames, &n));
	return n;
}

#define ODD_CODE                                                                                   \
	".text\n.globl oddly, main, mark\n.type oddly, @function\n"                                \
	"oddly: nop\nmark: nop\nnop\n.Lmarked: ret\n.Lend:\n.size oddly, .-oddly\n"                \
	".type main, @function\nmain: xor %%eax, %%eax\nret\n.size main, .-main\n"                 \
	".section .note.GNU-stack,\"\"\n"

/* A unit with a function of line 3 that has one inlined call, at "mark", from line 5. */
#define ODD_UNIT                                                                                    \
	".section .debug_info\n"                                                                    \
	".long .Linfo_end-.Linfo\n.Linfo: .short 4\n.long 0\n.byte 8\n"                             \
	".uleb128 1\n.asciz \"odd.c\"\n.asciz \"/src\"\n.quad oddly\n.long .Lend-oddly\n.long 0\n"  \
	".Linlined: .uleb128 3\n.asciz \"small\"\n.byte 1\n"                                        \
	".uleb128 2\n.asciz \"oddly\"\n.quad oddly\n.long .Lend-oddly\n.byte 3\n"                   \
	".uleb128 4\n.long .Linlined-.Linfo+4\n.quad mark\n.long .Lmarked-mark\n.byte 1\n.byte 5\n" \
	".byte 0\n%s.byte 0\n.Linfo_end:\n"                                                         \
	".section .debug_abbrev\n"                                                                  \
	".uleb128 1\n.uleb128 0x11\n.byte 1\n.byte 3,8,0x1b,8,0x11,1,0x12,6,0x10,0x17,0,0\n"        \
	".uleb128 2\n.uleb128 0x2e\n.byte 1\n.byte 3,8,0x11,1,0x12,6,0x3b,0xb,0,0\n"                \
	".uleb128 3\n.uleb128 0x2e\n.byte 0\n.byte 3,8,0x20,0xb,0,0\n"                              \
	".uleb128 4\n.uleb128 0x1d\n.byte 0\n.byte 0x31,0x13,0x11,1,0x12,6,0x58,0xb,0x59,0xb,0,0\n" \
	"%s.byte 0\n"

/* Rows at "oddly" (line 4) and "mark" (line 9) of file 1, which only the program defines where `%s` is empty. */
#define ODD_LINES                                                                                  \
	".section .debug_line\n"                                                                   \
	".long .Lline_end-.Lline\n.Lline: .short 4\n.long .Lcode-.Lheader\n.Lheader:\n"            \
	".byte 1,1,1,-5,14,13,0,1,1,1,1,0,0,0,1,0,0,1\n.byte 0\n%s.byte 0\n.Lcode:\n"              \
	"%s.byte 0,9,2\n.quad oddly\n.byte 3,3,1\n.byte 0,9,2\n.quad mark\n.byte 3,5,1\n"          \
	".byte 0,9,2\n.quad .Lend\n.byte 0,1,1\n.Lline_end:\n"

static void put_odd(char *text, size_t cap, const char *entry, const char *abbrev,
		    const char *header_file, const char *defined_file)
{
	snprintf(text, cap, ODD_CODE ODD_UNIT ODD_LINES, entry, abbrev, header_file, defined_file);
}

#define HEADER_FILE  ".asciz \"odd.c\"\n.byte 0,0,0\n"
#define DEFINED_FILE ".byte 0,10,3\n.asciz \"odd.c\"\n.byte 0,0,0\n"

static void check_odd(const struct cprof_symbol_frame *frames, size_t n)
{
	CHECK_UINT(n, 2);
	CHECK_STR(frames[0].name, "small");
	CHECK_STR(frames[0].file, "/src/odd.c");
	CHECK_UINT(frames[0].line, 9);
	CHECK_STR(frames[1].name, "oddly");
	CHECK_STR(frames[1].file, "/src/odd.c");
	CHECK_UINT(frames[1].line, 5);
	CHECK_UINT(frames[1].start_line, 3);
}

TEST(dwfl_says_what_the_index_says)
{
	char text[8192];
	struct built built;
	const struct cprof_symbol_frame *frames;
	put_odd(text, sizeof(text), "", "", HEADER_FILE, "");
	build(&built, text, ".s", "");
	begin(&built, CPROF_SYMBOLIZER_INDEX);
	const size_t n = ask(&built, "mark", &frames);
	check_odd(frames, n);
	end(&built);
	begin(&built, CPROF_SYMBOLIZER_LIBDWFL);
	const size_t n_library = ask(&built, "mark", &frames);
	check_odd(frames, n_library);
	end(&built);
	discard(&built);
}

/* An abbreviation with more attributes than we take: its unit is broken for us. */
TEST(dwfl_names_what_lies_in_a_unit_that_the_index_cannot_read)
{
	static char text[1 << 16], abbrev[1 << 15];
	struct built built;
	const struct cprof_symbol_frame *frames;
	char *at = abbrev + sprintf(abbrev, ".uleb128 5\n.uleb128 0x34\n.byte 0\n");
	for (int i = 0; i < 1100; i++)
		at += sprintf(at, ".uleb128 %d,25\n", 0x2400 + i);
	strcpy(at, ".byte 0,0\n");
	put_odd(text, sizeof(text), ".uleb128 5\n", abbrev, HEADER_FILE, "");
	build(&built, text, ".s", "");
	begin(&built, CPROF_SYMBOLIZER_INDEX);
	CHECK_UINT(ask(&built, "mark", &frames), 1);
	CHECK_STR(frames[0].name, "oddly");
	CHECK_STR(frames[0].file, "");
	end(&built);
	begin(&built, CPROF_SYMBOLIZER_AUTO);
	const size_t n = ask(&built, "mark", &frames);
	check_odd(frames, n);
	CHECK_STR(cprof_symbolizer_notes(built.symbolizer), "");
	end(&built);
	discard(&built);
}

/* DW_LNE_define_file: the file is in no table. */
TEST(dwfl_names_a_file_that_only_the_line_program_defines)
{
	char text[8192];
	struct built built;
	const struct cprof_symbol_frame *frames;
	put_odd(text, sizeof(text), "", "", "", DEFINED_FILE);
	build(&built, text, ".s", "");
	begin(&built, CPROF_SYMBOLIZER_INDEX);
	CHECK_UINT(ask(&built, "mark", &frames), 2);
	CHECK_STR(frames[0].file, "");
	end(&built);
	begin(&built, CPROF_SYMBOLIZER_AUTO);
	CHECK_UINT(ask(&built, "mark", &frames), 2);
	CHECK_STR(frames[0].file, "/src/odd.c");
	CHECK_UINT(frames[0].line, 9);
	end(&built);
	discard(&built);
}

/* A pipe that nobody writes to would hold up whoever opens it. */
TEST(dwfl_opens_nothing_that_a_file_names)
{
	struct built built;
	const struct cprof_symbol_frame *frames;
	build(&built,
	      "static volatile int sink;\n"
	      "extern \"C\" __attribute__((noinline)) int plain(int x) { return sink - x; }\n"
	      "int main(int argc, char **) { return plain(argc); }\n",
	      ".cc", "-gdwarf-5 -gsplit-dwarf");
	run("cd %s && rm *.dwo && for i in p-s.dwo s.dwo; do mkfifo $i; done%s", built.dir, "");
	begin(&built, CPROF_SYMBOLIZER_LIBDWFL);
	CHECK_UINT(ask(&built, "plain", &frames), 1);
	CHECK_STR(frames[0].name, "plain");
	CHECK_UINT(frames[0].line, 2);
	end(&built);
	discard(&built);
}

/* It costs names, and that is said; nobody is killed. */
TEST(dwfl_is_given_no_file_that_was_cut_short_meanwhile)
{
	char text[8192], path[96];
	struct built built;
	const struct cprof_symbol_frame *frames;
	/* What was read once stays; this much is not read at once. */
	put_odd(text, sizeof(text), "", "", HEADER_FILE,
		".section .rodata\n.space 300000, 1\n.section .debug_line\n");
	build(&built, text, ".s", "");
	const uint64_t mark = address(&built, "mark");
	begin(&built, CPROF_SYMBOLIZER_LIBDWFL);
	snprintf(path, sizeof(path), "%s/p", built.dir);
	CHECK(truncate(path, 64) == 0);
	size_t n;
	CHECK(!cprof_symbolizer_file_addr(built.symbolizer, built.module, mark, &frames, &n));
	CHECK_UINT(n, 1);
	CHECK(strstr(cprof_symbolizer_notes(built.symbolizer), "/p: "));
	end(&built);
	discard(&built);
}

/* ---- what becomes of the process that asks ---- */

enum { FINE, BREAKS, HANGS, GROWS, IS_KILLED, IS_STOPPED };

static struct cprof_error *misbehave(void *ctx, uint32_t id, struct cprof_dwfl_files *ret_files)
{
	const struct own *own = ctx;
	volatile uint64_t spin = 0;
	if (id == BREAKS)
		__builtin_trap();
	while (id == HANGS)
		spin++;
	if (id == IS_KILLED || id == IS_STOPPED)
		raise(id == IS_KILLED ? SIGKILL : SIGSTOP);
	if (id == GROWS && mmap(NULL, 1ull << 33, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED)
		_exit(1);
	*ret_files = own->files;
	return NULL;
}

static struct cprof_error *ask_child(struct cprof_dwfl_child *child, uint32_t id,
				     struct cprof_dwarf_frame *frames, size_t *ret_n)
{
	const struct cprof_dwfl_place place = { .addr = 64, .id = id };
	return cprof_dwfl_child_ask(child, &place, frames, 8, ret_n);
}

TEST(dwfl_breaks_and_hangs_in_a_process_of_its_own)
{
	struct own own;
	struct cprof_dwarf_frame frames[8];
	size_t n;
	open_own(&own, "/proc/self/exe");
	struct cprof_dwfl_child child = { .open = misbehave,
					  .ctx = &own,
					  .module_cpu_ns = 200000000,
					  .all_cpu_ns = 60000000000,
					  .memory_bytes = 1ull << 32 };
	struct cprof_error *err = ask_child(&child, BREAKS, frames, &n);
	CHECK(err && strstr(err->message, "broke on it"));
	cprof_error_free(err);
	err = ask_child(&child, HANGS, frames, &n);
	CHECK(err && strstr(err->message, "more processor time"));
	cprof_error_free(err);
	err = ask_child(&child, GROWS, frames, &n);
	CHECK(err && strstr(err->message, "too little memory"));
	cprof_error_free(err);
	err = ask_child(&child, IS_KILLED, frames, &n);
	CHECK(err && strstr(err->message, "broke on it (Killed)"));
	cprof_error_free(err);
	child.still_ms = 20;
	err = ask_child(&child, IS_STOPPED, frames, &n);
	CHECK(err && strstr(err->message, "stood still"));
	cprof_error_free(err);
	child.still_ms = 0;
	child.module_cpu_ns = child.all_cpu_ns;
	CHECK(!ask_child(&child, FINE, frames, &n));
	cprof_dwfl_child_end(&child);
	CHECK_UINT(child.pid, 0);
	close_own(&own);
}

/* ---- what comes back from there ---- */

TEST(dwfl_reply_comes_back_as_it_was_and_nothing_else_does)
{
	const struct cprof_dwarf_frame frames[] = { { "a", "_Za", "/a.c", 1, 2, 3 },
						    { "", "", "", 0, 0, UINT32_MAX } };
	struct cprof_dwarf_frame back[2];
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	size_t n;
	cprof_dwfl_reply_write(frames, 2, &bytes);
	CHECK(cprof_dwfl_reply_read(bytes.data, bytes.len, back, 2, &n));
	CHECK_UINT(n, 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK_STR(back[i].name, frames[i].name);
		CHECK_STR(back[i].linkage_name, frames[i].linkage_name);
		CHECK_STR(back[i].file, frames[i].file);
		CHECK_UINT(back[i].line, frames[i].line);
		CHECK_UINT(back[i].column, frames[i].column);
		CHECK_UINT(back[i].start_line, frames[i].start_line);
	}
	CHECK(!cprof_dwfl_reply_read(bytes.data, bytes.len, back, 1, &n));
	const size_t first = 12 + 2 + 4 + 5;
	for (size_t len = 0; len < bytes.len; len++)
		CHECK(cprof_dwfl_reply_read(bytes.data, len, back, 2, &n) ==
		      (len == 0 || len == first));
}
