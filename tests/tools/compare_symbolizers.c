/* SPDX-License-Identifier: Apache-2.0 */
/*
 * compare_symbolizers FILE [N [SEED]] - name N random addresses in the text of FILE by our index and by libdwfl, and tell where they differ.
 *
 * N is 1000 if not given, 0: hexadecimal addresses as in the file come from standard input, one a line. FILE "[kernel]": they are the kernel's, and
 * of its modules. Prints a line for each difference, both answers
 * with innermost frames first, and at the end how many there were of each kind. What a kind means, and who is right: docs/names.md.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "cprof/symbolizer.h"
#include "symbolize/names/symbolizer_names.h"
#include "tests/tools/random_address.h"

#define ADDRS_MAX (1u << 20)

struct way {
	struct cprof_symbolizer_options options;
	struct cprof_modules modules;
	struct cprof_module *module;
	struct cprof_symbolizer *symbolizer;
	const struct cprof_symbol_frame *frames;
	size_t n;
	uint64_t ns;
};

enum kind { SAME, ALIAS, NAMELESS, SYMBOL, FUNCTION, CHAIN, FILE_NAME, LINE, COLUMN, START, KINDS };

static const char *const kinds[KINDS] = {
	[SAME] = "same",        [ALIAS] = "alias",       [NAMELESS] = "nameless",
	[SYMBOL] = "symbol",    [FUNCTION] = "function", [CHAIN] = "chain",
	[FILE_NAME] = "file",   [LINE] = "line",         [COLUMN] = "column",
	[START] = "start-line",
};

static void check(struct cprof_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "compare_symbolizers: %s\n", err->message);
	exit(1);
}

/* The running kernel, as far as it is named by files; no module of its own. */
static bool is_kernel(const char *path)
{
	return strcmp(path, "[kernel]") == 0;
}

static void begin(struct way *way, enum cprof_symbolizer_way which, const char *path)
{
	way->options.way = which;
	way->options.demangle = CPROF_DEMANGLE_NONE;
	cprof_modules_init(&way->modules);
	if (!is_kernel(path))
		check(cprof_modules_open(&way->modules, path, &way->module));
	check(cprof_symbolizer_new(&way->options, &way->modules, &way->symbolizer));
}

static void ask(struct way *way, uint64_t addr)
{
	const uint64_t from = cprof_clock_mono_ns();
	check(way->module ? cprof_symbolizer_file_addr(way->symbolizer, way->module, addr,
						       &way->frames, &way->n)
			  : cprof_symbolizer_kernel(way->symbolizer, addr, &way->frames, &way->n));
	way->ns += cprof_clock_mono_ns() - from;
}

static void end(struct way *way)
{
	fputs(cprof_symbolizer_library_notes(way->symbolizer), stdout);
	cprof_symbolizer_free(way->symbolizer);
	cprof_modules_deinit(&way->modules);
}

/* A name that is only a place: libdwfl does not say where the function starts. */
static bool is_place(const struct cprof_symbol_frame *frame)
{
	return strstr(frame->name, "+0x") != NULL;
}

static enum kind compare_frames(const struct cprof_symbol_frame *a,
				const struct cprof_symbol_frame *b, bool last)
{
	if (strcmp(a->name, b->name) != 0)
		return last && (is_place(a) || is_place(b)) ? NAMELESS : last ? SYMBOL : FUNCTION;
	if (strcmp(a->file, b->file) != 0)
		return FILE_NAME;
	if (a->line != b->line)
		return LINE;
	if (a->column != b->column)
		return COLUMN;
	return a->start_line != b->start_line ? START : SAME;
}

/* Where `table` says that a symbol of this name is; 0: nowhere. A version is no part of the name. */
static uint64_t value_in(struct cprof_elf *elf, uint32_t type, const char *name)
{
	const struct cprof_section *table = elf ? cprof_elf_section_of_type(elf, type) : NULL;
	const struct cprof_section *strings = table ? cprof_elf_section_at(elf, table->link) : NULL;
	const size_t len = strlen(name);
	Elf64_Sym symbol;
	const uint8_t *bytes;
	for (uint64_t at = 0; strings && (bytes = cprof_section_at(table, at, sizeof(symbol)));
	     at += sizeof(symbol)) {
		memcpy(&symbol, bytes, sizeof(symbol));
		const char *text = cprof_section_string(strings, symbol.st_name);
		if (text && strncmp(text, name, len) == 0 && (!text[len] || text[len] == '@'))
			return symbol.st_value;
	}
	return 0;
}

static uint64_t value_of(const struct cprof_names *names, const char *name)
{
	uint64_t value = value_in(names->debug, SHT_SYMTAB, name);
	value = value ? value : value_in(names->self, SHT_SYMTAB, name);
	value = value ? value : value_in(names->mini, SHT_SYMTAB, name);
	return value ? value : value_in(names->self, SHT_DYNSYM, name);
}

static bool are_aliases(struct way *way, const char *a, const char *b)
{
	const struct cprof_names_options from = cprof_symbolizer_names_options(way->symbolizer);
	struct cprof_names *names;
	if (!way->module)
		return false;
	check(cprof_names_get(way->module, &from, &names));
	const uint64_t value = value_of(names, a);
	return value && value == value_of(names, b);
}

static enum kind compare(struct way *a, const struct way *b)
{
	enum kind found = a->n == b->n ? SAME : CHAIN;
	for (size_t i = 0; i < a->n && found == SAME; i++)
		found = compare_frames(&a->frames[i], &b->frames[i], i + 1 == a->n);
	/* Of places the addresses differ, as libdwfl knows no starts. */
	if (found == NAMELESS && is_place(&a->frames[a->n - 1]) && is_place(&b->frames[b->n - 1]))
		return SAME;
	if (found == SYMBOL && are_aliases(a, a->frames[a->n - 1].name, b->frames[b->n - 1].name))
		return ALIAS;
	return found;
}

static void print(const struct way *way)
{
	for (size_t i = 0; i < way->n; i++)
		printf("%s %s:%" PRId64 ":%" PRId64 " from %" PRId64 "%s", way->frames[i].name,
		       way->frames[i].file, way->frames[i].line, way->frames[i].column,
		       way->frames[i].start_line, i + 1 < way->n ? " < " : "\n");
}

static size_t read_addresses(uint64_t *addrs)
{
	char line[64];
	size_t n = 0;
	while (n < ADDRS_MAX && fgets(line, sizeof(line), stdin))
		addrs[n++] = strtoull(line, NULL, 16);
	return n;
}

int main(int argc, char **argv)
{
	struct way index = { 0 }, library = { 0 };
	size_t n = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 1000, counts[KINDS] = { 0 };
	uint64_t *addrs = malloc(ADDRS_MAX * sizeof(*addrs));
	if (argc < 2 || !addrs || n > ADDRS_MAX || (is_kernel(argv[1]) && n))
		return 2;
	srandom(argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : 1);
	begin(&index, CPROF_SYMBOLIZER_INDEX, argv[1]);
	begin(&library, CPROF_SYMBOLIZER_LIBDWFL, argv[1]);
	for (size_t i = 0; i < n; i++)
		addrs[i] = random_address(index.module);
	n = n ? n : read_addresses(addrs);
	for (size_t i = 0; i < n; i++) {
		ask(&index, addrs[i]);
		ask(&library, addrs[i]);
		const enum kind kind = compare(&index, &library);
		counts[kind]++;
		if (kind == SAME)
			continue;
		printf("0x%" PRIx64 " %s\n  index   ", addrs[i], kinds[kind]);
		print(&index);
		printf("  libdwfl ");
		print(&library);
	}
	printf("addresses %zu", n);
	for (size_t i = 0; i < KINDS; i++)
		printf(" %s %zu", kinds[i], counts[i]);
	printf("\nindex_us %.2f libdwfl_us %.2f\n", n ? (double)index.ns / 1e3 / (double)n : 0,
	       n ? (double)library.ns / 1e3 / (double)n : 0);
	end(&library);
	end(&index);
	free(addrs);
	return 0;
}
