/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_package.h"

#include "symbolize/dwarf/dwarf_cursor.h"

#define HEADER_SIZE 16
#define COLUMNS_MAX 64
#define TRIES_PAID  64 /* for so many at once; an honest table needs a few */

/* What a column of the index is about. DWARF 5 took over some of version 2's numbers, and gave others anew. */
enum {
	COLUMN_INFO = 1,
	COLUMN_ABBREV = 3,
	COLUMN_STR_OFFSETS = 6,
	COLUMN_RNGLISTS = 8, /* version 5 only */
};

static bool number_at(const struct cprof_section *section, uint64_t offset, size_t size,
		      uint64_t *ret_number)
{
	const uint8_t *bytes = cprof_section_at(section, offset, size);
	if (!bytes)
		return false;
	struct cprof_cursor cursor = { bytes, bytes + size, false };
	*ret_number = cprof_cursor_fixed(&cursor, size);
	return true;
}

bool cprof_dwarf_package_init(struct cprof_dwarf_package *package, struct cprof_elf *elf)
{
	*package = (struct cprof_dwarf_package){ .elf = elf };
	package->index = cprof_elf_section(elf, ".debug_cu_index");
	const uint8_t *bytes =
		package->index ? cprof_section_at(package->index, 0, HEADER_SIZE) : NULL;
	if (!bytes)
		return false;
	struct cprof_cursor cursor = { bytes, bytes + HEADER_SIZE, false };
	/* Four bytes in version 2; in version 5 two of them, and two of padding that must be 0. */
	package->version = cprof_cursor_u32(&cursor);
	package->n_columns = cprof_cursor_u32(&cursor);
	package->n_units = cprof_cursor_u32(&cursor);
	package->n_slots = cprof_cursor_u32(&cursor);
	/* A power of two, larger than the number of units: the search below relies on neither, but honest tables do. */
	return (package->version == 2 || package->version == 5) && package->n_columns &&
	       package->n_columns <= COLUMNS_MAX && package->n_slots &&
	       (package->n_slots & (package->n_slots - 1)) == 0;
}

/* ---- the index: a hash table of ids, then a table of rows ---- */

static uint64_t rows_at(const struct cprof_dwarf_package *package)
{
	return HEADER_SIZE + 12ull * package->n_slots;
}

/* The row of a unit, counted from 1; 0: none. Open addressing with the step from the id's upper half. */
static uint32_t find_row(const struct cprof_dwarf_package *package, uint64_t dwo_id)
{
	uint64_t mask = package->n_slots - 1;
	uint64_t slot = dwo_id & mask, step = ((dwo_id >> 32) & mask) | 1;
	for (uint32_t tried = 0; tried < package->n_slots; tried++) {
		uint64_t id, row;
		if (tried % TRIES_PAID == TRIES_PAID - 1 &&
		    !cprof_account_charge(package->elf->image->account, CPROF_BUDGET_STEPS,
					  TRIES_PAID))
			return 0;
		if (!number_at(package->index, HEADER_SIZE + 8 * slot, 8, &id) ||
		    !number_at(package->index, HEADER_SIZE + 8ull * package->n_slots + 4 * slot, 4,
			       &row) ||
		    !row)
			return 0;
		if (id == dwo_id)
			return row <= package->n_units ? (uint32_t)row : 0;
		slot = (slot + step) & mask;
	}
	return 0;
}

/* A part of section `name`, as if it were a section; false: the row promises what the section does not hold. */
static bool cut(const struct cprof_dwarf_package *package, const char *name, uint64_t offset,
		uint64_t size, struct cprof_section *ret_slice)
{
	const struct cprof_section *section = cprof_elf_section(package->elf, name);
	if (!section || offset > section->size || size > section->size - offset)
		return false;
	*ret_slice = *section;
	ret_slice->offset += offset;
	ret_slice->size = size;
	return true;
}

static bool cut_column(const struct cprof_dwarf_package *package, uint64_t column, uint64_t offset,
		       uint64_t size, struct cprof_dwarf_slices *slices)
{
	if (column == COLUMN_INFO)
		return cut(package, ".debug_info.dwo", offset, size, &slices->info);
	if (column == COLUMN_ABBREV)
		return cut(package, ".debug_abbrev.dwo", offset, size, &slices->abbrev);
	if (column == COLUMN_STR_OFFSETS)
		return cut(package, ".debug_str_offsets.dwo", offset, size, &slices->str_offsets);
	if (column == COLUMN_RNGLISTS && package->version == 5)
		return cut(package, ".debug_rnglists.dwo", offset, size, &slices->rnglists);
	return true; /* locations, lines of type units, macros */
}

bool cprof_dwarf_package_find(const struct cprof_dwarf_package *package, uint64_t dwo_id,
			      struct cprof_dwarf_slices *ret_slices)
{
	uint64_t columns = rows_at(package), row_size = 4ull * package->n_columns;
	uint32_t row = find_row(package, dwo_id);
	struct cprof_dwarf_slices slices = { 0 };
	if (!row)
		return false;
	/* A line of column heads, then a line of offsets for each unit, then as many of sizes. */
	uint64_t offsets = columns + row_size * row;
	uint64_t sizes = offsets + row_size * package->n_units;
	for (uint32_t i = 0; i < package->n_columns; i++) {
		uint64_t column, offset, size;
		if (!number_at(package->index, columns + 4ull * i, 4, &column) ||
		    !number_at(package->index, offsets + 4ull * i, 4, &offset) ||
		    !number_at(package->index, sizes + 4ull * i, 4, &size) ||
		    (size && !cut_column(package, column, offset, size, &slices)))
			return false;
	}
	if (!slices.info.size || !slices.abbrev.size)
		return false;
	*ret_slices = slices;
	return true;
}
