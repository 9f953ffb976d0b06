/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_index.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "symbolize/dwarf/dwarf_ranges.h"

#define RANGES_MAX  (1u << 24)
#define PASS_BYTES  (16u << 20) /* of units that are walked, before what they took is given back */
#define RANGE_BYTES 64          /* an interval, two pieces, a place in the sweep */

void cprof_dwarf_index_deinit(struct cprof_dwarf_index *index)
{
	cprof_intervals_deinit(&index->from_aranges);
	cprof_intervals_deinit(&index->from_units);
	cprof_map64_deinit(&index->listed);
	free(index->units);
	*index = (struct cprof_dwarf_index){ 0 };
}

static bool add_unit(struct cprof_dwarf_index *index, uint64_t offset)
{
	if (!CPROF_ARRAY_ROOM(index->units, index->n_units, index->cap_units, 1))
		return false;
	index->units[index->n_units++] = offset;
	return true;
}

static bool add_range(struct cprof_dwarf_index *index, const struct cprof_dwarf_file *file,
		      struct cprof_intervals *to, uint64_t start, uint64_t end)
{
	struct cprof_interval interval = { start, end, 0, (uint32_t)index->n_units - 1 };
	if (to->n_added >= RANGES_MAX || !cprof_dwarf_file_pay(file, 1, RANGE_BYTES))
		return false;
	struct cprof_error *err = cprof_intervals_add(to, &interval);
	cprof_error_free(err);
	return !err;
}

/* ---- .debug_aranges ---- */

/* One set; the cursor holds exactly its bytes. A broken set costs the units that it lists. */
static void read_set(struct cprof_dwarf_index *index, const struct cprof_dwarf_file *file,
		     struct cprof_cursor cursor, uint8_t offset_size, uint64_t header_start)
{
	const uint8_t *start = cursor.at;
	uint16_t version = cprof_cursor_u16(&cursor);
	uint64_t unit = cprof_cursor_fixed(&cursor, offset_size);
	uint8_t addr_size = cprof_cursor_u8(&cursor), segment_size = cprof_cursor_u8(&cursor);
	if (cursor.failed || version != 2 || segment_size || (addr_size != 8 && addr_size != 4))
		return;
	/* Tuples are aligned to their size, counted from the set's start. */
	uint64_t done = header_start + (uint64_t)(cursor.at - start);
	cprof_cursor_skip(&cursor,
			  (2ull * addr_size - done % (2ull * addr_size)) % (2ull * addr_size));
	uint64_t *listed = cprof_map64_put(&index->listed, unit, NULL);
	if (cursor.failed || !listed || !add_unit(index, unit))
		return;
	*listed = 1;
	while (cprof_cursor_left(&cursor) >= 2ull * addr_size) {
		uint64_t addr = cprof_cursor_fixed(&cursor, addr_size);
		uint64_t len = cprof_cursor_fixed(&cursor, addr_size);
		if (!addr && !len)
			break;
		if (addr > 1 && len && addr + len > addr &&
		    !add_range(index, file, &index->from_aranges, addr, addr + len))
			break;
	}
}

static void read_aranges(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file)
{
	const struct cprof_section *section = file->aranges;
	const uint8_t *bytes = section ? cprof_section_at(section, 0, section->size) : NULL;
	index->aranges_read = true;
	if (!bytes)
		return;
	struct cprof_cursor cursor = { bytes, bytes + section->size, false };
	while (cprof_cursor_left(&cursor) > 4) {
		const uint8_t *start = cursor.at;
		uint8_t offset_size;
		uint64_t length = cprof_cursor_length(&cursor, &offset_size);
		if (cursor.failed || length > cprof_cursor_left(&cursor))
			break;
		struct cprof_cursor set = { cursor.at, cursor.at + length, false };
		read_set(index, file, set, offset_size, (uint64_t)(cursor.at - start));
		cursor.at += length;
	}
	cprof_error_free(cprof_intervals_flatten(&index->from_aranges));
}

/* ---- the units' own ranges ---- */

struct root_walk {
	struct cprof_dwarf_index *index;
	const struct cprof_dwarf_file *file;
};

static bool add_root_range(void *ctx, uint64_t start, uint64_t end)
{
	struct root_walk *walk = ctx;
	return add_range(walk->index, walk->file, &walk->index->from_units, start, end);
}

static void read_root(struct cprof_dwarf_index *index, struct cprof_dwarf_unit *unit)
{
	struct cprof_cursor cursor = cprof_dwarf_unit_root_cursor(unit);
	const struct cprof_abbrev *abbrev = cprof_dwarf_unit_entry(unit, &cursor);
	struct cprof_dwarf_extent extent = { 0 };
	for (uint32_t i = 0; abbrev && i < abbrev->n_attrs; i++) {
		const struct cprof_abbrev_attr *attr =
			&unit->abbrevs->attrs[abbrev->first_attr + i];
		struct cprof_value value;
		cprof_dwarf_unit_value(unit, attr, &cursor, &value);
		if (attr->name == DW_AT_low_pc)
			extent.low = value;
		else if (attr->name == DW_AT_high_pc)
			extent.high = value;
		else if (attr->name == DW_AT_ranges)
			extent.ranges = value;
	}
	struct root_walk walk = { index, unit->file };
	if (add_unit(index, unit->offset))
		cprof_dwarf_ranges(unit, &extent, add_root_range, &walk);
}

void cprof_dwarf_index_pass(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file,
			    uint64_t offset)
{
	while (!index->units_read) {
		if (index->n_passed == file->n_order && !cprof_dwarf_file_scan_next(file)) {
			index->units_read = true;
			cprof_error_free(cprof_intervals_flatten(&index->from_units));
			return;
		}
		uint64_t at = file->units[file->order[index->n_passed]]->offset;
		if (at >= offset)
			return;
		index->n_passed++;
		if (cprof_map64_get(&index->listed, at))
			continue;
		struct cprof_dwarf_unit *unit = cprof_dwarf_file_unit(file, at);
		if (unit && unit->type != DW_UT_partial && unit->type != DW_UT_type)
			read_root(index, unit);
	}
}

static void read_units(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file)
{
	for (uint64_t offset = PASS_BYTES; !index->units_read; offset += PASS_BYTES) {
		cprof_dwarf_index_pass(index, file, offset);
		cprof_dwarf_file_forget(file, offset);
	}
}

static uint32_t find_listed(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file,
			    uint64_t addr)
{
	if (!index->aranges_read)
		read_aranges(index, file);
	return cprof_intervals_find(&index->from_aranges, addr);
}

static uint32_t find_any(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file,
			 uint64_t addr)
{
	if (!index->units_read)
		read_units(index, file);
	return cprof_intervals_find(&index->from_units, addr);
}

uint64_t cprof_dwarf_index_order(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file,
				 uint64_t addr)
{
	uint32_t what = find_listed(index, file, addr);
	/* Where nothing is listed all has to be walked first; where most is, that can wait until it is read anyway. */
	if (what == CPROF_INTERVAL_NONE && !index->from_aranges.n)
		what = find_any(index, file, addr);
	return what == CPROF_INTERVAL_NONE ? UINT64_MAX : index->units[what];
}

struct cprof_dwarf_unit *cprof_dwarf_index_find(struct cprof_dwarf_index *index,
						struct cprof_dwarf_file *file, uint64_t addr)
{
	uint32_t what = find_listed(index, file, addr);
	if (what == CPROF_INTERVAL_NONE)
		what = find_any(index, file, addr);
	return what == CPROF_INTERVAL_NONE ? NULL : cprof_dwarf_file_unit(file, index->units[what]);
}
