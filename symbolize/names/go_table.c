/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/go_table.h"

#include <stdlib.h>

#include "base/search.h"
#include "symbolize/dwarf/dwarf_cursor.h"
#include "symbolize/elf/elf_relative.h"
#include "symbolize/names/go_module.h"

#define MAGIC_116    0xfffffffau
#define MAGIC_118    0xfffffff0u
#define MAGIC_120    0xfffffff1u
#define STEPS_MAX    100000 /* of one function's line program */
#define FUNCS_MAX    (1u << 24)
#define NAME_BYTES   (32u << 10)
#define HEADER_BYTES 72
#define STEPS_PAID   1024 /* for so many at once */

struct cprof_go_table {
	const uint8_t *bytes; /* of the table, and what follows it in its section */
	uint64_t size, addr;
	struct cprof_account *account; /* borrowed; the file's */
	uint32_t magic;
	uint8_t quantum; /* instruction size unit */
	uint64_t n_funcs, text;
	uint64_t names, units, files, programs, funcs; /* offsets of the parts */
	uint64_t *
		starts; /* owned; of the functions where the loader fills them in; NULL: they are in the table */
};

void cprof_go_table_free(struct cprof_go_table *table)
{
	if (!table)
		return;
	free(table->starts);
	free(table);
}

static uint64_t number(const struct cprof_go_table *table, uint64_t offset, size_t size)
{
	if (offset > table->size || size > table->size - offset)
		return 0;
	struct cprof_cursor cursor = { table->bytes + offset, table->bytes + offset + size, false };
	return cprof_cursor_fixed(&cursor, size);
}

static const char *string(const struct cprof_go_table *table, uint64_t offset)
{
	if (offset >= table->size)
		return "";
	const uint8_t *start = table->bytes + offset;
	uint64_t left = table->size - offset;
	return memchr(start, 0, left < NAME_BYTES ? left : NAME_BYTES) ? (const char *)start : "";
}

static bool read_header(struct cprof_go_table *table)
{
	table->magic = (uint32_t)number(table, 0, 4);
	table->quantum = (uint8_t)number(table, 6, 1);
	bool offsets = table->magic == MAGIC_118 || table->magic == MAGIC_120;
	if ((!offsets && table->magic != MAGIC_116) || number(table, 7, 1) != 8 || !table->quantum)
		return false;
	uint64_t at = 8;
	table->n_funcs = number(table, at, 8);
	at += 16;
	if (offsets) {
		table->text = number(table, at, 8);
		at += 8;
	}
	table->names = number(table, at, 8);
	table->units = number(table, at + 8, 8);
	table->files = number(table, at + 16, 8);
	table->programs = number(table, at + 24, 8);
	table->funcs = number(table, at + 32, 8);
	return table->n_funcs && table->n_funcs <= FUNCS_MAX && table->funcs < table->size &&
	       table->n_funcs * 8 <= table->size - table->funcs;
}

/* ---- where functions start ---- */

static size_t word(const struct cprof_go_table *table)
{
	return table->magic == MAGIC_116 ? 8 : 4;
}

/*
 * Offsets count from the start of Go's text. The table's header names it only where no loader has to fill that in, and since
 * Go 1.26 nowhere: then without the program's own word for it there are no names, as they would be those of other functions.
 */
static bool find_text(struct cprof_go_table *table, struct cprof_elf *elf)
{
	const struct cprof_go_module_key key = { table->addr, table->addr + table->names,
						 table->addr + table->funcs, table->n_funcs };
	return cprof_go_module_text(elf, &key, &table->text) || table->text != 0;
}

/* Up to Go 1.17 addresses stand there, which in position-independent programs are the loader's to fill in. */
static struct cprof_error *find_starts(struct cprof_go_table *table, struct cprof_elf *elf)
{
	struct cprof_elf_relative relative = { .elf = elf };
	const uint64_t first = table->addr + table->funcs, entry = 2 * word(table);
	uint64_t place, value;
	if ((table->n_funcs + 1) * entry > table->size - table->funcs)
		return NULL;
	while (cprof_elf_relative_next(&relative, &place, &value)) {
		if (place < first || place - first > table->n_funcs * entry ||
		    (place - first) % entry != 0)
			continue;
		if (!table->starts)
			table->starts = calloc(table->n_funcs + 1, sizeof(*table->starts));
		if (!table->starts)
			return cprof_error_no_memory();
		table->starts[(place - first) / entry] = value;
	}
	return NULL;
}

/* ---- where the table is ---- */

static bool is_header(const uint8_t *bytes)
{
	static const uint32_t magics[] = { MAGIC_120, MAGIC_118, MAGIC_116 };
	for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++) {
		if (memcmp(bytes, &magics[i], sizeof(magics[i])) == 0)
			return !bytes[4] && !bytes[5] && (bytes[6] == 1 || bytes[6] == 4) &&
			       bytes[7] == 8;
	}
	return false;
}

/* In programs that a C linker has made position-independent the table is somewhere in a section of many things. */
static bool look_in(const struct cprof_section *section, struct cprof_go_table *table)
{
	const uint8_t *bytes = cprof_section_at(section, 0, section->size);
	for (uint64_t at = -section->addr % 8; bytes && at + HEADER_BYTES <= section->size;
	     at += 8) {
		if (!is_header(bytes + at))
			continue;
		table->bytes = bytes + at;
		table->size = section->size - at;
		table->addr = section->addr + at;
		return true;
	}
	return false;
}

static bool find_table(struct cprof_elf *elf, struct cprof_go_table *table)
{
	static const char *const own[] = { ".gopclntab", ".data.rel.ro.gopclntab" };
	static const char *const shared[] = { ".data.rel.ro", ".rodata" };
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
		const struct cprof_section *section = cprof_elf_section(elf, own[i]);
		if (section)
			return look_in(section, table);
	}
	if (!cprof_elf_has_section(elf, ".go.buildinfo") &&
	    !cprof_elf_has_section(elf, ".note.go.buildid"))
		return false;
	for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
		const struct cprof_section *section = cprof_elf_section(elf, shared[i]);
		if (section &&
		    cprof_account_charge(elf->image->account, CPROF_BUDGET_STEPS,
					 section->size / 8) &&
		    look_in(section, table))
			return true;
	}
	return false;
}

struct cprof_error *cprof_go_table_new(struct cprof_elf *elf, struct cprof_go_table **ret_table)
{
	struct cprof_go_table found = { .account = elf->image->account };
	*ret_table = NULL;
	if (!find_table(elf, &found) || !read_header(&found))
		return NULL;
	if (found.magic != MAGIC_116 && !find_text(&found, elf))
		return NULL;
	struct cprof_error *err = found.magic == MAGIC_116 ? find_starts(&found, elf) : NULL;
	struct cprof_go_table *table = err ? NULL : malloc(sizeof(*table));
	if (!table) {
		free(found.starts);
		return err ? err : cprof_error_no_memory();
	}
	*table = found;
	*ret_table = table;
	return NULL;
}

/* ---- functions ---- */

static uint64_t start_of(const struct cprof_go_table *table, uint64_t index)
{
	if (table->starts)
		return table->starts[index];
	return table->text + number(table, table->funcs + index * 2 * word(table), word(table));
}

/* The value of a table of (value, pc) steps at `target`; false where it does not reach that far. */
static bool value_at(const struct cprof_go_table *table, uint64_t program, uint64_t start,
		     uint64_t target, int64_t *ret_value)
{
	uint64_t offset = table->programs + program;
	if (!program || offset >= table->size)
		return false;
	struct cprof_cursor cursor = { table->bytes + offset, table->bytes + table->size, false };
	int64_t value = -1;
	uint64_t pc = start;
	for (unsigned step = 0; step < STEPS_MAX && !cursor.failed; step++) {
		uint64_t zigzag = cprof_cursor_uleb(&cursor);
		if ((!zigzag && step) ||
		    (step % STEPS_PAID == STEPS_PAID - 1 &&
		     !cprof_account_charge(table->account, CPROF_BUDGET_STEPS, STEPS_PAID)))
			return false;
		value += (int64_t)(zigzag >> 1) ^ -(int64_t)(zigzag & 1);
		pc += cprof_cursor_uleb(&cursor) * table->quantum;
		if (target < pc) {
			*ret_value = value;
			return !cursor.failed;
		}
	}
	return false;
}

static void describe(const struct cprof_go_table *table, uint64_t func, uint64_t start,
		     uint64_t target, struct cprof_dwarf_frame *frame)
{
	/* After the entry (a pc or an offset) all fields have 4 bytes. */
	uint64_t fields = func + word(table);
	int64_t value;
	frame->name = string(table, table->names + number(table, fields, 4));
	if (value_at(table, number(table, fields + 20, 4), start, target, &value) && value > 0)
		frame->line = (uint32_t)value;
	if (value_at(table, number(table, fields + 16, 4), start, target, &value) && value >= 0) {
		uint64_t unit = number(table, fields + 28, 4);
		uint64_t file = number(table, table->units + (unit + (uint64_t)value) * 4, 4);
		if (file != UINT32_MAX)
			frame->file = string(table, table->files + file);
	}
	if (table->magic == MAGIC_120)
		frame->start_line = (uint32_t)number(table, fields + 32, 4);
}

bool cprof_go_table_find(const struct cprof_go_table *table, uint64_t file_addr,
			 struct cprof_dwarf_frame *ret_frame)
{
	uint64_t after = CPROF_SEARCH(i, table->n_funcs, start_of(table, i) <= file_addr);
	/* After the last function stands where it ends. */
	if (!after || file_addr >= start_of(table, after))
		return false;
	uint64_t entry = table->funcs + (after - 1) * 2 * word(table);
	uint64_t func = table->funcs + number(table, entry + word(table), word(table));
	if (func >= table->size)
		return false;
	*ret_frame = (struct cprof_dwarf_frame){ .name = "", .linkage_name = "", .file = "" };
	describe(table, func, start_of(table, after - 1), file_addr, ret_frame);
	return *ret_frame->name != 0;
}
