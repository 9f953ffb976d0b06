#include "symbolize/names/go_table.h"

#include <stdlib.h>

#include "base/search.h"
#include "symbolize/dwarf/dwarf_cursor.h"

#define MAGIC_116  0xfffffffau
#define MAGIC_118  0xfffffff0u
#define MAGIC_120  0xfffffff1u
#define STEPS_MAX  100000 /* of one function's line program */
#define FUNCS_MAX  (1u << 24)
#define NAME_BYTES (32u << 10)
#define STEPS_PAID 1024 /* for so many at once */

struct cprof_go_table {
	const uint8_t *bytes; /* of the whole section */
	uint64_t size;
	struct cprof_account *account; /* borrowed; the file's */
	uint32_t magic;
	uint8_t quantum; /* instruction size unit */
	uint64_t n_funcs, text;
	uint64_t names, units, files, programs, funcs; /* offsets of the parts */
};

void cprof_go_table_free(struct cprof_go_table *table)
{
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

static bool read_header(struct cprof_go_table *table, const struct cprof_elf *elf)
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
	/* Newer linkers leave the text's address to the section table. */
	for (size_t i = 0; offsets && !table->text && i < elf->n_sections; i++) {
		if (strcmp(elf->sections[i].name, ".text") == 0)
			table->text = elf->sections[i].addr;
	}
	return table->n_funcs && table->n_funcs <= FUNCS_MAX && table->funcs < table->size &&
	       table->n_funcs * 8 <= table->size - table->funcs;
}

struct cprof_error *cprof_go_table_new(struct cprof_elf *elf, struct cprof_go_table **ret_table)
{
	*ret_table = NULL;
	const struct cprof_section *section = cprof_elf_section(elf, ".gopclntab");
	if (!section)
		section = cprof_elf_section(elf, ".data.rel.ro.gopclntab");
	const uint8_t *bytes = section ? cprof_section_at(section, 0, section->size) : NULL;
	if (!bytes)
		return NULL;
	struct cprof_go_table *table = calloc(1, sizeof(*table));
	if (!table)
		return cprof_error_no_memory();
	table->bytes = bytes;
	table->size = section->size;
	table->account = elf->image->account;
	if (!read_header(table, elf)) {
		free(table);
		return NULL;
	}
	*ret_table = table;
	return NULL;
}

/* ---- functions ---- */

static size_t word(const struct cprof_go_table *table)
{
	return table->magic == MAGIC_116 ? 8 : 4;
}

static uint64_t start_of(const struct cprof_go_table *table, uint64_t index)
{
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
