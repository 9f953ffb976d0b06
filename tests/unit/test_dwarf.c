/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/symbolizer.h"
#include "symbolize/names/names.h"
#include "tests/unit/test.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * One copy of each inlined function, with a mark in the machine code, so that the address is known and the
 * answer is what the lines of this text say. Line numbers count from its first line.
 */
static const char program[] =
	/*  1 */
	"static volatile int sink;\n"
	/*  2 */ "namespace {\n"
	/*  3 */ "__attribute__((always_inline)) inline int inner(int x)\n"
	/*  4 */ "{\n"
	/*  5 */ "	__asm__ volatile(\".globl mark_inner\\nmark_inner: nop\" ::: \"memory\");\n"
	/*  6 */ "	return sink + x;\n"
	/*  7 */ "}\n"
	/*  8 */ "}\n"
	/*  9 */ "namespace ns {\n"
	/* 10 */ "template <class T> __attribute__((always_inline)) inline T middle(T x)\n"
	/* 11 */ "{\n"
	/* 12 */ "	sink = x;\n"
	/* 13 */ "	return inner(x)\n"
	/* 14 */ "		* 3;\n"
	/* 15 */ "}\n"
	/* 16 */ "struct Outer {\n"
	/* 17 */ "	int run(int);\n"
	/* 18 */ "};\n"
	/* 19 */ "__attribute__((noinline)) int Outer::run(int x)\n"
	/* 20 */ "{\n"
	/* 21 */ "	sink = 1;\n"
	/* 22 */ "	return middle(x);\n"
	/* 23 */ "}\n"
	/* 24 */ "}\n"
	/* 25 */ "__attribute__((noinline)) int plain(int x)\n"
	/* 26 */ "{\n"
	/* 27 */ "	__asm__ volatile(\".globl mark_plain\\nmark_plain: nop\" ::: \"memory\");\n"
	/* 28 */ "	return sink - x;\n"
	/* 29 */ "}\n"
	/* 30 */ "int main(int argc, char **)\n"
	/* 31 */ "{\n"
	/* 32 */ "	ns::Outer outer;\n"
	/* 33 */ "	return outer.run(argc) + plain(argc);\n"
	/* 34 */ "}\n"
	/* 35 */ "__attribute__((always_inline)) inline int third(int x)\n"
	/* 36 */ "{\n"
	/* 37 */ "	__asm__ volatile(\".globl mark_third\\nmark_third: nop\" ::: \"memory\");\n"
	/* 38 */ "	return sink + x;\n"
	/* 39 */ "}\n"
	/* 40 */ "__attribute__((used, noinline)) int local(int n)\n"
	/* 41 */ "{\n"
	/* 42 */ "	auto f = [&](int y) __attribute__((noinline)) {\n"
	/* 43 */ "		return third(y) + n;\n"
	/* 44 */ "	};\n"
	/* 45 */ "	return f(n) + f(n + 1);\n"
	/* 46 */ "}\n";

struct built {
	char dir[64];
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_symbolizer_options options;
	struct cprof_symbolizer *symbolizer;
};

static bool has_program(const char *name)
{
	char command[128];
	snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
	return system(command) == 0;
}

static void open_built(struct built *built)
{
	char path[96];
	snprintf(path, sizeof(path), "%s/p", built->dir);
	cprof_modules_init(&built->modules);
	CHECK(!cprof_modules_open(&built->modules, path, &built->module));
	CHECK(!cprof_symbolizer_new(&built->options, &built->modules, &built->symbolizer));
}

/* False: this compiler cannot do it. */
static bool build(struct built *built, const char *compiler, const char *flags)
{
	char command[768], path[96];
	*built = (struct built){ 0 };
	strcpy(built->dir, "/tmp/cprof-test-XXXXXX");
	CHECK(mkdtemp(built->dir));
	snprintf(path, sizeof(path), "%s/p.cc", built->dir);
	FILE *file = fopen(path, "w");
	CHECK(file && fputs(program, file) >= 0 && fclose(file) == 0);
	snprintf(command, sizeof(command), "cd %s && %s -O2 %s p.cc -o p 2>/dev/null", built->dir,
		 compiler, flags);
	if (system(command) != 0)
		return false;
	open_built(built);
	return true;
}

static void discard(struct built *built)
{
	char command[128];
	cprof_symbolizer_free(built->symbolizer);
	cprof_modules_deinit(&built->modules);
	snprintf(command, sizeof(command), "rm -rf %s", built->dir);
	CHECK(system(command) == 0);
}

static uint64_t address(const struct built *built, const char *symbol)
{
	char command[160], line[256] = "";
	/* Where a stripped program keeps a copy of itself, its symbols are there. */
	snprintf(command, sizeof(command),
		 "cd %s; nm $(ls unchanged p 2>&- | tail -1) | grep ' %s$'", built->dir, symbol);
	FILE *pipe = popen(command, "r");
	CHECK(pipe && fgets(line, sizeof(line), pipe));
	pclose(pipe);
	return strtoull(line, NULL, 16);
}

static void check_frame(const char *how, const struct cprof_symbol_frame *frame, const char *name,
			int64_t line, int64_t start_line)
{
	const char *slash = strrchr(frame->file, '/');
	if (strcmp(frame->name, name) != 0 || frame->line != line ||
	    (start_line && frame->start_line != start_line) || !slash ||
	    strcmp(slash, "/p.cc") != 0)
		TEST_FAIL("%s: %s at %s:%d, starts at %d; want %s at p.cc:%d, %d", how, frame->name,
			  frame->file, (int)frame->line, (int)frame->start_line, name, (int)line,
			  (int)start_line);
}

static void check_chain(const char *how, struct built *built, bool whole)
{
	const struct cprof_symbol_frame *frames;
	size_t n;
	CHECK(!cprof_symbolizer_file_addr(built->symbolizer, built->module,
					  address(built, "mark_inner"), &frames, &n));
	if (n != 3)
		TEST_FAIL("%s: %zu frames, the first is %s", how, n, frames[0].name);
	check_frame(how, &frames[0], whole ? "(anonymous namespace)::inner" : "inner", 5,
		    whole ? 3 : 0);
	check_frame(how, &frames[1], whole ? "ns::middle" : "middle", 13, whole ? 10 : 0);
	check_frame(how, &frames[2], "ns::Outer::run", 22, 0);
	/* As in the symbol table, where LTO may have made a copy: ".constprop.0". */
	CHECK(strncmp(frames[2].system_name, "_ZN2ns5Outer3runEi", 18) == 0);
	CHECK(!cprof_symbolizer_file_addr(built->symbolizer, built->module,
					  address(built, "mark_plain"), &frames, &n));
	CHECK_UINT(n, 1);
	check_frame(how, &frames[0], "plain", 27, whole ? 25 : 0);
}

TEST(dwarf_inline_chains_are_right_for_each_compiler_and_version)
{
	/* clang-format off */
	static const struct {
		const char *compiler, *flags;
		bool tables_only; /* it leaves out namespaces and where functions start */
	} cases[] = {
		{ "g++", "-gdwarf-2", false },
		{ "g++", "-gdwarf-3", false },
		{ "g++", "-gdwarf-4", false },
		{ "g++", "-gdwarf-5", false },
		{ "g++", "-g -gz=zlib", false },
		{ "g++", "-g -gno-strict-dwarf -ffunction-sections -Wl,--gc-sections", false },
		{ "g++", "-g -static", false },
		{ "g++", "-g -flto", false },
		{ "g++", "-g -fdebug-types-section", false },
		{ "clang++", "-gdwarf-2", false },
		{ "clang++", "-gdwarf-3", false },
		{ "clang++", "-gdwarf-4", false },
		{ "clang++", "-gdwarf-5", false },
		{ "clang++", "-g -gz=zlib", false },
		{ "clang++", "-gline-tables-only", true },
	};
	/* clang-format on */
	size_t done = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built built;
		char how[128];
		if (!has_program(cases[i].compiler))
			continue;
		snprintf(how, sizeof(how), "%s %s", cases[i].compiler, cases[i].flags);
		if (!build(&built, cases[i].compiler, cases[i].flags))
			TEST_FAIL("%s: does not compile", how);
		check_chain(how, &built, !cases[i].tables_only);
		discard(&built);
		done++;
	}
	if (!done)
		test_skip("neither g++ nor clang++ is installed");
}

TEST(dwarf_split_units_give_inline_chains_and_without_their_files_functions_and_lines)
{
	/* In two steps: compiling and linking at once, clang would throw the .dwo file away with the object. */
	static const char *const cases[][2] = {
		{ "g++", "-gdwarf-4 -gsplit-dwarf -c p.cc -o p.o && g++ p.o -o p; true" },
		{ "g++", "-gdwarf-5 -gsplit-dwarf -c p.cc -o p.o && g++ p.o -o p; true" },
		{ "clang++", "-gdwarf-4 -gsplit-dwarf -c p.cc -o p.o && clang++ p.o -o p; true" },
		{ "clang++", "-gdwarf-5 -gsplit-dwarf -c p.cc -o p.o && clang++ p.o -o p; true" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built built;
		char how[128], command[160];
		const struct cprof_symbol_frame *frames;
		size_t n;
		if (!has_program(cases[i][0]))
			continue;
		snprintf(how, sizeof(how), "%s %.24s", cases[i][0], cases[i][1]);
		CHECK(build(&built, cases[i][0], cases[i][1]));
		check_chain(how, &built, true);
		CHECK_STR(cprof_symbolizer_notes(built.symbolizer), "");

		snprintf(command, sizeof(command), "rm %s/p.dwo", built.dir);
		CHECK(system(command) == 0);
		cprof_symbolizer_free(built.symbolizer);
		cprof_modules_deinit(&built.modules);
		open_built(&built);
		CHECK(!cprof_symbolizer_file_addr(built.symbolizer, built.module,
						  address(&built, "mark_inner"), &frames, &n));
		CHECK_UINT(n, 1);
		check_frame(how, &frames[0], "ns::Outer::run", 5, 0);
		CHECK(strstr(cprof_symbolizer_notes(built.symbolizer), ".dwo"));
		discard(&built);
	}
}

TEST(dwarf_split_units_have_their_own_lists_of_addresses_beside_those_of_their_entries)
{
	/* Before DWARF 5 a base counts for the lists of the .dwo file alone; each of two units has lists of both kinds. */
	static const char command[] =
		"-c p.cc -o p.o && echo '"
		"struct Q { __attribute__((always_inline)) int r(int k) {"
		" volatile int s = 0; for (int i = 0; i < k; i++) s += i; if (k > 9) s += 3; return s; } };"
		" int FUNCTION(int x) { Q q; return q.r(x) + q.r(x + 2); }' | tee q.cc >>p.cc && "
		"for f in q p; do clang++ -O2 -gdwarf-4 -gsplit-dwarf -ffunction-sections "
		"-DFUNCTION=of_$f -c $f.cc -o $f.o; done && clang++ q.o p.o -o p; true";
	struct built built;
	if (!has_program("clang++"))
		test_skip("clang++ is not installed");
	CHECK(build(&built, "clang++", command));
	check_chain("two units", &built, true);
	discard(&built);
}

TEST(dwarf_functions_of_local_classes_have_their_inline_chains)
{
	/* Up to -O1 gcc puts a lambda's code into its class, and that into the function around it. */
	static const char *const cases[][2] = {
		{ "g++", "-g -O1" },
		{ "g++", "-g" },
		{ "g++", "-g -O0" },
		{ "clang++", "-g -O1" },
	};
	size_t done = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built built;
		char how[64];
		const struct cprof_symbol_frame *frames;
		size_t n;
		if (!has_program(cases[i][0]))
			continue;
		snprintf(how, sizeof(how), "%s %s", cases[i][0], cases[i][1]);
		CHECK(build(&built, cases[i][0], cases[i][1]));
		CHECK(!cprof_symbolizer_file_addr(built.symbolizer, built.module,
						  address(&built, "mark_third"), &frames, &n));
		if (n != 2)
			TEST_FAIL("%s: %zu frames, the first is %s", how, n, frames[0].name);
		check_frame(how, &frames[0], "third", 37, 35);
		CHECK_UINT((uint64_t)frames[1].line, 43);
		CHECK(strncmp(frames[1].system_name, "_ZZ5localiENK", 13) == 0);
		discard(&built);
		done++;
	}
	if (!done)
		test_skip("neither g++ nor clang++ is installed");
}

TEST(dwarf_rewritten_by_other_tools_gives_inline_chains)
{
	static const char *const cases[][2] = {
		{ "dwz",
		  "g++ -O1 -g p.cc -o other && dwz -m common -M $PWD/common p other && test -s common" },
		{ "objcopy", "objcopy --compress-debug-sections=zstd p" },
		{ "objcopy", "objcopy --compress-debug-sections=zlib-gnu p" },
		{ "strip", "objcopy --only-keep-debug p p.debug && strip p && "
			   "objcopy --add-gnu-debuglink=p.debug p" },
	};
	size_t done = 0;
	for (size_t i = 0; has_program("g++") && i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built built;
		char flags[256];
		if (!has_program(cases[i][0]))
			continue;
		snprintf(flags, sizeof(flags),
			 "-g p.cc -o p && cp p unchanged && %s && :", cases[i][1]);
		if (!build(&built, "g++", flags))
			TEST_FAIL("%s: does not work", cases[i][1]);
		check_chain(cases[i][1], &built, true);
		done++;
		discard(&built);
	}
	if (!done)
		test_skip("g++, or dwz, objcopy and strip, are not installed");
}

/* Have the debug information decompressed by a child, which may not get far. */
static void work_ahead(struct built *built, uint64_t limit, bool start, bool wait)
{
	const struct cprof_names_options options = { 0 };
	struct cprof_prefetch prefetch = { 0 };
	struct cprof_names *names;
	CHECK(!cprof_names_get(built->module, &options, &names));
	cprof_names_prefetch(names, address(built, "mark_inner"), &prefetch, &limit);
	if (start)
		cprof_prefetch_start(&prefetch);
	while (wait && cprof_prefetch_busy(&prefetch))
		usleep(1000);
	cprof_prefetch_stop(&prefetch);
}

TEST(dwarf_decompressed_ahead_is_taken_where_it_is_whole_and_gives_the_same)
{
	static const struct {
		const char *what;
		uint64_t limit;
		bool start, wait, taken;
	} rows[] = {
		{ "the child has ended", 1 << 20, true, true, true },
		{ "the child was never started", 1 << 20, false, false, false },
		{ "the sections are too large", 10, true, true, false },
	};
	if (!has_program("g++") || !has_program("objcopy"))
		test_skip("g++ or objcopy is not installed");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct built built;
		CHECK(build(&built, "g++",
			    "-g p.cc -o p && cp p unchanged && "
			    "objcopy --compress-debug-sections=zlib p && :"));
		work_ahead(&built, rows[i].limit, rows[i].start, rows[i].wait);
		check_chain(rows[i].what, &built, true);
		const struct cprof_names *names = built.module->names.data;
		const struct cprof_section *info = cprof_elf_section(names->self, ".debug_info");
		CHECK(info && info->inflated);
		CHECK_UINT(info->image->borrowed, rows[i].taken);
		discard(&built);
	}
}

static struct cprof_names *names_of(struct built *built)
{
	const struct cprof_names_options options = { 0 };
	struct cprof_names *names;
	CHECK(!cprof_names_get(built->module, &options, &names));
	return names;
}

TEST(names_that_another_process_has_found_are_taken_and_what_is_no_sound_answer_is_not)
{
	struct built built;
	struct cprof_buffer bytes = { 0 };
	struct cprof_dwarf_frame frames[8];
	size_t n;
	if (!has_program("g++"))
		test_skip("g++ is not installed");
	CHECK(build(&built, "g++", "-g"));
	struct cprof_names *found = names_of(&built);
	found->keeps = true;
	CHECK(!cprof_names_frames(found, address(&built, "mark_inner"), frames, 8, &n));
	CHECK(!cprof_names_frames(found, address(&built, "mark_plain"), frames, 8, &n));
	CHECK(!cprof_names_give_answers(found, &bytes));
	cprof_symbolizer_free(built.symbolizer);
	cprof_modules_deinit(&built.modules);

	open_built(&built);
	struct cprof_names *given = names_of(&built);
	CHECK(!cprof_names_take_answers(given, bytes.data, bytes.len - 1));
	bytes.data[bytes.len / 2] ^= 1;
	CHECK(!cprof_names_take_answers(given, bytes.data, bytes.len));
	bytes.data[bytes.len / 2] ^= 1;
	given->fingerprint ^= 1;
	CHECK(!cprof_names_take_answers(given, bytes.data, bytes.len));
	given->fingerprint ^= 1;
	CHECK_UINT(given->cache.n_answers, 0);
	CHECK(cprof_names_take_answers(given, bytes.data, bytes.len));
	check_chain("given", &built, true);
	CHECK(!given->dwarf_read && !given->symbols_read);
	cprof_buffer_deinit(&bytes);
	discard(&built);
}

TEST(dwarf_packages_of_split_units_give_inline_chains)
{
	/* A second unit, first in the package: parts of the one that is asked for do not start at 0. */
	static const char compile[] =
		"%s -c p.cc -o p.o && echo 'int other(int x) { return x + 1; }' >q.cc && "
		"%s -O2 %s -c q.cc -o q.o && %s q.o p.o -o p && %s && rm p.dwo q.dwo";
	static const char *const cases[][3] = {
		{ "g++", "-gdwarf-4 -gsplit-dwarf", "dwp -e p -o p.dwp" },
		/* No dwp with DWARF 5: that of binutils 2.40 crashes; llvm-dwp 14 may not end on what gcc writes then. */
		{ "g++", "-gdwarf-4 -gsplit-dwarf", "llvm-dwp q.dwo p.dwo -o p.dwp" },
		{ "clang++", "-gdwarf-4 -gsplit-dwarf", "dwp -e p -o p.dwp" },
		{ "clang++", "-gdwarf-5 -gsplit-dwarf", "llvm-dwp q.dwo p.dwo -o p.dwp" },
		{ "clang++", "-gdwarf-4 -gsplit-dwarf", "llvm-dwp q.dwo p.dwo -o p.dwp" },
		/* Classes in units of their own, which an index of their own names. */
		{ "g++", "-gdwarf-4 -gsplit-dwarf -fdebug-types-section", "dwp -e p -o p.dwp" },
		{ "g++", "-gdwarf-4 -gsplit-dwarf -fdebug-types-section",
		  "llvm-dwp q.dwo p.dwo -o p.dwp" },
		{ "clang++", "-gdwarf-4 -gsplit-dwarf -fdebug-types-section", "dwp -e p -o p.dwp" },
		{ "clang++", "-gdwarf-4 -gsplit-dwarf -fdebug-types-section",
		  "llvm-dwp q.dwo p.dwo -o p.dwp" },
		{ "clang++", "-gdwarf-5 -gsplit-dwarf -fdebug-types-section",
		  "llvm-dwp q.dwo p.dwo -o p.dwp" },
	};
	size_t done = 0;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct built built;
		char how[128], command[400], packer[16];
		const char *compiler = cases[i][0], *flags = cases[i][1];
		snprintf(packer, sizeof(packer), "%.*s", (int)strcspn(cases[i][2], " "),
			 cases[i][2]);
		if (!has_program(compiler) || !has_program(packer))
			continue;
		snprintf(how, sizeof(how), "%s %s, %s", compiler, flags, cases[i][2]);
		snprintf(command, sizeof(command), compile, flags, compiler, flags, compiler,
			 cases[i][2]);
		if (!build(&built, compiler, strcat(command, " && :")))
			TEST_FAIL("%s: does not compile", how);
		check_chain(how, &built, true);
		CHECK_STR(cprof_symbolizer_notes(built.symbolizer), "");
		discard(&built);
		done++;
	}
	if (!done)
		test_skip("neither g++ and dwp nor clang++ and llvm-dwp are installed");
}

TEST(dwarf_options_leave_out_inlines_or_lines)
{
	struct built built;
	const struct cprof_symbol_frame *frames;
	size_t n;
	if (!has_program("g++"))
		test_skip("g++ is not installed");
	CHECK(build(&built, "g++", "-g"));
	uint64_t addr = address(&built, "mark_inner");
	cprof_symbolizer_free(built.symbolizer);
	built.options = (struct cprof_symbolizer_options){ .no_inlines = true };
	CHECK(!cprof_symbolizer_new(&built.options, &built.modules, &built.symbolizer));
	CHECK(!cprof_symbolizer_file_addr(built.symbolizer, built.module, addr, &frames, &n));
	CHECK_UINT(n, 1);
	check_frame("no inlines", &frames[0], "ns::Outer::run", 5, 0);

	cprof_symbolizer_free(built.symbolizer);
	built.options = (struct cprof_symbolizer_options){ .no_lines = true };
	CHECK(!cprof_symbolizer_new(&built.options, &built.modules, &built.symbolizer));
	CHECK(!cprof_symbolizer_file_addr(built.symbolizer, built.module, addr, &frames, &n));
	CHECK_UINT(frames[0].line, 0);
	CHECK_STR(frames[0].file, "");
	discard(&built);
}
