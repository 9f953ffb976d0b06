/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of text and bytes that others write: perf maps, kallsyms, Go's table. */
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/symbolizer.h"
#include "symbolize/dwarf/dwarf.h"
#include "symbolize/elf/eh_index.h"
#include "symbolize/names/go_table.h"
#include "symbolize/names/kernel.h"
#include "symbolize/names/perf_map.h"
#include "symbolize/names/plt.h"
#include "tests/unit/test.h"

static struct cprof_buffer text_of(const char *text)
{
	struct cprof_buffer buffer = { 0 };
	cprof_buffer_puts(&buffer, text);
	return buffer;
}

TEST(perf_map_later_lines_win_and_malformed_ones_are_counted)
{
	/* clang-format off */
	static const struct {
		const char *what, *text;
		uint64_t addr;
		const char *want;
		size_t want_malformed;
	} cases[] = {
		{ "a name with blanks", "1000 10 LazyCompile:~f /x.js:1\n", 0x100f, "LazyCompile:~f /x.js:1", 0 },
		{ "0x before numbers", "0x1000 0x10 f\n", 0x1000, "f", 0 },
		{ "the end is not in it", "1000 10 f\n", 0x1010, NULL, 0 },
		{ "code replaced by newer code", "1000 40 old\n1010 10 new\n", 0x1018, "new", 0 },
		{ "what is left of the old", "1000 40 old\n1010 10 new\n", 0x1030, "old", 0 },
		{ "newer code that covers all of the old", "1010 10 old\n1000 40 new\n", 0x1018, "new", 0 },
		{ "no newline at the end", "1000 10 f", 0x1000, "f", 0 },
		{ "no size", "1000 f\n", 0x1000, NULL, 1 },
		{ "size zero", "1000 0 f\n", 0x1000, NULL, 1 },
		{ "no name", "1000 10 \n", 0x1000, NULL, 1 },
		{ "no numbers", "hello world foo\n", 0x1000, NULL, 1 },
		{ "past the end of memory", "ffffffffffffffff 10 f\n", 0xffffffffffffffff, NULL, 1 },
		{ "a number with too many digits", "11111111111111111 10 f\n", 0x1000, NULL, 1 },
		{ "a negative size", "1000 -10 f\n", 0x1000, NULL, 1 },
		{ "a size no function has", "1000 fffffffff f\n", 0x1000, NULL, 1 },
		{ "a good line after a bad one", "bad\n1000 10 f\n", 0x1000, "f", 1 },
		{ "nothing", "", 0x1000, NULL, 0 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_perf_map map;
		struct cprof_buffer text = text_of(cases[i].text);
		CHECK(!cprof_perf_map_parse(&map, &text));
		const char *got = cprof_perf_map_find(&map, cases[i].addr);
		if (!got != !cases[i].want || (got && strcmp(got, cases[i].want) != 0) ||
		    map.n_malformed != cases[i].want_malformed)
			TEST_FAIL("%s: %s, %zu malformed", cases[i].what, got ? got : "(none)",
				  map.n_malformed);
		cprof_perf_map_deinit(&map);
	}
}

TEST(kernel_names_functions_and_modules_and_knows_when_addresses_are_hidden)
{
	struct cprof_kernel kernel;
	struct cprof_buffer text = text_of("ffffffff81000000 T _text\n"
					   "ffffffff81000000 T _stext\n"
					   "ffffffff81000100 T do_one\n"
					   "ffffffff81000200 d a_variable\n"
					   "nonsense\n"
					   "ffffffff81000300 t do_two\n"
					   "ffffffff82000000 T _etext\n"
					   "ffffffffc0000000 t nft_do\t[nf_tables]\n");
	CHECK(!cprof_kernel_parse(&kernel, &text));
	CHECK(!kernel.restricted);
	CHECK_UINT(kernel.n, 3);
	CHECK_UINT(kernel.start, 0xffffffff81000000);
	CHECK_UINT(kernel.end, 0xffffffff82000000);
	struct cprof_kernel_symbol found;
	CHECK(cprof_kernel_find(&kernel, 0xffffffff81000200, &found));
	CHECK_STR(found.name, "do_one");
	CHECK(cprof_kernel_find(&kernel, 0xffffffff81000300, &found));
	CHECK_STR(found.name, "do_two");
	CHECK(cprof_kernel_find(&kernel, 0xffffffffc0000010, &found));
	CHECK_STR(found.module, "nf_tables");
	CHECK(!cprof_kernel_find(&kernel, 0xffffffff81000000, &found));
	CHECK(!cprof_kernel_find(&kernel, UINT64_MAX, &found));
	cprof_kernel_deinit(&kernel);

	text = text_of("0000000000000000 T a\n0000000000000000 t b\n");
	CHECK(!cprof_kernel_parse(&kernel, &text));
	CHECK(kernel.restricted);
	CHECK(!cprof_kernel_find(&kernel, 0, &found));
	cprof_kernel_deinit(&kernel);

	text = text_of("");
	CHECK(!cprof_kernel_parse(&kernel, &text));
	CHECK(!kernel.restricted);
	cprof_kernel_deinit(&kernel);
}

static struct cprof_module *seed(struct cprof_modules *modules, const char *name)
{
	struct cprof_module *module;
	char path[512];
	snprintf(path, sizeof(path), CPROF_SOURCE_DIR "/tests/fuzz/corpus/names/%s", name);
	cprof_modules_init(modules);
	CHECK(!cprof_modules_open(modules, path, &module));
	return module;
}

TEST(go_table_gives_functions_and_lines_of_a_stripped_go_program)
{
	/* The seed's table: main.main [0x1000, 0x1040) line 10, from 0x1010 on 12; main.work [0x1040, 0x1080). */
	static const struct {
		uint64_t addr;
		const char *name;
		int64_t line, start_line;
	} cases[] = {
		{ 0x1000, "main.main", 10, 9 },
		{ 0x100f, "main.main", 10, 9 },
		{ 0x1010, "main.main", 12, 9 },
		{ 0x1040, "main.work", 10, 20 },
	};
	struct cprof_modules modules;
	struct cprof_module *module = seed(&modules, "go.so");
	const struct cprof_symbolizer_options options = { 0 };
	struct cprof_symbolizer *symbolizer;
	CHECK(!cprof_symbolizer_new(&options, &modules, &symbolizer));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cprof_symbol_frame *frames;
		size_t n;
		CHECK(!cprof_symbolizer_file_addr(symbolizer, module, cases[i].addr, &frames, &n));
		CHECK_STR(frames[0].name, cases[i].name);
		CHECK_STR(frames[0].file, "/app/main.go");
		CHECK_UINT(frames[0].line, cases[i].line);
		CHECK_UINT(frames[0].start_line, cases[i].start_line);
	}
	cprof_symbolizer_free(symbolizer);
	cprof_modules_deinit(&modules);
}

/* Seeds whose text begins with C code: c_first, main.main, main.work, c_last, of 64 bytes each, and which is to be relocated. */
static void check_beside_c(const char *name, uint64_t text)
{
	static const char *const names[] = { "", "main.main", "main.work", "" };
	struct cprof_modules modules;
	struct cprof_module *module = seed(&modules, name);
	struct cprof_elf *elf;
	struct cprof_go_table *table;
	CHECK(!cprof_elf_open(module->image, true, &elf));
	CHECK(!cprof_go_table_new(elf, &table));
	CHECK(table);
	for (size_t i = 0; table && i < 4 * 64; i++) {
		struct cprof_dwarf_frame frame;
		bool found = cprof_go_table_find(table, text + i, &frame);
		CHECK(found == (names[i / 64][0] != 0));
		if (found)
			CHECK_STR(frame.name, names[i / 64]);
	}
	cprof_go_table_free(table);
	cprof_elf_free(elf);
	cprof_modules_deinit(&modules);
}

TEST(go_table_counts_from_where_the_program_says_that_its_text_starts)
{
	check_beside_c("go126.so", 0x300);
}

TEST(go_table_of_addresses_takes_what_the_loader_fills_in)
{
	check_beside_c("go116.so", 0x380);
}

TEST(plt_entries_are_told_by_their_word_of_the_got_whatever_the_linker)
{
	/* Made by lld -z retpolineplt and by mold; both call `ext` and `other`. */
	static const char *const files[] = { "retpoline.so", "mold.so" };
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct cprof_modules modules;
		struct cprof_module *module = seed(&modules, files[i]);
		struct cprof_symbols symbols = { 0 };
		struct cprof_elf *elf;
		char *names;
		uint64_t covered = 0;
		CHECK(!cprof_elf_open(module->image, true, &elf));
		CHECK(!cprof_plt_add(elf, &names, &symbols));
		CHECK(!cprof_symbols_sort(&symbols));
		/* The first is what is common to both. */
		CHECK_UINT(symbols.n, 3);
		CHECK(strcmp(symbols.all[0].name, ".plt") == 0);
		for (size_t k = 1; k < symbols.n; k++) {
			covered += symbols.all[k].end - symbols.all[k].start;
			CHECK(strcmp(symbols.all[k].name, "ext@plt") == 0 ||
			      strcmp(symbols.all[k].name, "other@plt") == 0);
		}
		CHECK_UINT(covered, i == 0 ? 64 : 32);
		free(names);
		cprof_symbols_deinit(&symbols);
		cprof_elf_free(elf);
		cprof_modules_deinit(&modules);
	}
}

TEST(plt_entries_of_indirect_functions_have_the_name_of_the_function)
{
	/* Made by GNU ld -static: entries of 8 bytes, filled by the resolvers of `ext` and `other`. */
	struct cprof_modules modules;
	struct cprof_module *module = seed(&modules, "iplt");
	const struct cprof_symbolizer_options options = { 0 };
	struct cprof_symbolizer *symbolizer;
	struct cprof_elf *elf;
	CHECK(!cprof_elf_open(module->image, true, &elf));
	const struct cprof_section *plt = cprof_elf_section(elf, ".plt");
	CHECK_UINT(plt->size, 16);
	CHECK(!cprof_symbolizer_new(&options, &modules, &symbolizer));
	for (uint64_t at = 0; at < plt->size; at++) {
		const struct cprof_symbol_frame *frames;
		size_t n;
		CHECK(!cprof_symbolizer_file_addr(symbolizer, module, plt->addr + at, &frames, &n));
		CHECK_STR(frames[0].name, at < 8 ? "ext@plt" : "other@plt");
	}
	cprof_symbolizer_free(symbolizer);
	cprof_elf_free(elf);
	cprof_modules_deinit(&modules);
}

TEST(plt_entries_of_cpp_functions_are_demangled)
{
	struct cprof_modules modules;
	struct cprof_module *module = seed(&modules, "gcc5.so");
	const struct cprof_symbolizer_options options = { 0 };
	struct cprof_symbolizer *symbolizer;
	struct cprof_elf *elf;
	bool found = false;
	CHECK(!cprof_elf_open(module->image, true, &elf));
	const struct cprof_section *plt = cprof_elf_section(elf, ".plt");
	CHECK(!cprof_symbolizer_new(&options, &modules, &symbolizer));
	for (uint64_t at = plt->addr + 16; at < plt->addr + plt->size; at += 16) {
		const struct cprof_symbol_frame *frames;
		size_t n;
		CHECK(!cprof_symbolizer_file_addr(symbolizer, module, at, &frames, &n));
		found |= strcmp(frames[0].name, "ns::A::f@plt") == 0;
	}
	CHECK(found);
	cprof_symbolizer_free(symbolizer);
	cprof_elf_free(elf);
	cprof_modules_deinit(&modules);
}

TEST(plt_entries_are_named_by_what_they_call)
{
	struct cprof_modules modules;
	struct cprof_module *module = seed(&modules, "gcc5.so");
	struct cprof_symbols symbols = { 0 };
	struct cprof_elf *elf;
	char *names;
	CHECK(!cprof_elf_open(module->image, true, &elf));
	CHECK(!cprof_plt_add(elf, &names, &symbols));
	CHECK(!cprof_symbols_sort(&symbols));
	const struct cprof_section *plt = cprof_elf_section(elf, ".plt");
	/* The first 16 bytes are common to all entries; this library has two: ext and ns::A::f. */
	CHECK_UINT(symbols.n, plt->size / 16);
	bool found = false;
	for (uint64_t at = plt->addr + 16; at < plt->addr + plt->size; at += 16) {
		const struct cprof_symbol *symbol = cprof_symbols_find(&symbols, at + 15);
		CHECK(symbol && symbol->start == at);
		found |= strcmp(symbol->name, "ext@plt") == 0;
	}
	CHECK(found);
	const struct cprof_symbol *common = cprof_symbols_find(&symbols, plt->addr);
	CHECK(common && strcmp(common->name, ".plt") == 0 && common->end == plt->addr + 16);
	cprof_symbols_deinit(&symbols);
	free(names);
	cprof_elf_free(elf);
	cprof_modules_deinit(&modules);
}

TEST(eh_index_gives_the_start_of_each_function_that_the_symbol_table_knows)
{
	struct cprof_modules modules;
	struct cprof_module *module = seed(&modules, "clang5.so");
	struct cprof_symbols symbols = { 0 };
	struct cprof_elf *elf;
	CHECK(!cprof_elf_open(module->image, true, &elf));
	CHECK(!cprof_symbols_add_table(&symbols, elf, cprof_elf_section_of_type(elf, SHT_SYMTAB),
				       NULL));
	CHECK(!cprof_symbols_sort(&symbols));
	CHECK(symbols.n >= 2);
	for (size_t i = 0; i < symbols.n; i++) {
		CHECK_UINT(cprof_eh_index_start(elf, symbols.all[i].start), symbols.all[i].start);
		CHECK_UINT(cprof_eh_index_start(elf, symbols.all[i].end - 1), symbols.all[i].start);
	}
	CHECK_UINT(cprof_eh_index_start(elf, 1), 1);
	CHECK_UINT(cprof_eh_index_start(elf, UINT64_MAX), UINT64_MAX);
	cprof_symbols_deinit(&symbols);
	cprof_elf_free(elf);
	cprof_modules_deinit(&modules);
}

TEST(names_of_a_file_with_broken_bytes_anywhere_are_fewer_and_never_a_crash)
{
	static const char *const seeds[] = { "gcc5.so", "clang4.so", "zlib.so", "mini.so" };
	for (size_t s = 0; s < sizeof(seeds) / sizeof(seeds[0]); s++) {
		char path[512];
		CPROF_AUTO(buffer) struct cprof_buffer good = { 0 };
		snprintf(path, sizeof(path), CPROF_SOURCE_DIR "/tests/fuzz/corpus/names/%s",
			 seeds[s]);
		CHECK(!cprof_file_read(path, 1 << 20, &good));
		for (size_t at = 0; at < good.len; at += 7) {
			struct cprof_image *image;
			struct cprof_elf *elf;
			struct cprof_dwarf *dwarf;
			struct cprof_dwarf_frame frames[8];
			uint8_t *bytes = malloc(good.len);
			memcpy(bytes, good.data, good.len);
			bytes[at] ^= 0xff;
			CHECK(!cprof_image_from_bytes(bytes, good.len, &image));
			struct cprof_error *err = cprof_elf_open(image, false, &elf);
			if (err) {
				cprof_error_free(err);
				continue;
			}
			CHECK(!cprof_dwarf_new(elf, NULL, &dwarf));
			for (uint64_t addr = 0x200; dwarf && addr < 0x1100; addr += 16)
				cprof_dwarf_frames(dwarf, addr, frames, 8);
			cprof_dwarf_free(dwarf);
			cprof_elf_free(elf);
		}
	}
}
