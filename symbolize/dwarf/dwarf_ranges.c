/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_ranges.h"

#include <dwarf.h>

#define LIST_MAX   (1u << 20) /* entries of one list */
#define LIST_BYTES (16u << 20)

struct walk {
	const struct cprof_dwarf_unit *unit;
	cprof_dwarf_range_fn *fn;
	void *ctx;
};

/* Linkers leave 0, 1, -1 or -2 where a function was dropped. False: the caller has seen enough. */
static bool emit(const struct walk *walk, uint64_t start, uint64_t end)
{
	if (walk->unit->addr_size == 4 && start >= 0xfffffffe)
		return true;
	if (start <= 1 || start >= UINT64_MAX - 1 || end <= start)
		return true;
	return walk->fn(walk->ctx, start, end);
}

/* Entries of lists that say nothing cost as well: a file may have one long list for all its functions. */
static size_t pay(const struct walk *walk, size_t n)
{
	cprof_dwarf_file_pay(walk->unit->file, n, 0);
	return n;
}

static bool open_list(const struct cprof_dwarf_unit *unit, const struct cprof_section *section,
		      uint64_t offset, struct cprof_cursor *ret_cursor)
{
	if (!section || offset >= section->size || !cprof_dwarf_file_pay(unit->file, 1, 0))
		return false;
	uint64_t left = section->size - offset, n = left < LIST_BYTES ? left : LIST_BYTES;
	const uint8_t *bytes = cprof_section_at(section, offset, n);
	*ret_cursor = (struct cprof_cursor){ bytes, bytes + n, false };
	return bytes != NULL;
}

/* DWARF 3 and 4: pairs of addresses relative to a base; (max, base) sets it, (0, 0) ends. */
static size_t old_list(const struct walk *walk, uint64_t offset)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	const struct cprof_section *section = unit->file->ranges;
	struct cprof_cursor cursor;
	if (!open_list(unit, section, offset, &cursor))
		return 0;
	uint64_t base = unit->low_pc, top = unit->addr_size == 4 ? UINT32_MAX : UINT64_MAX;
	size_t n = 0;
	for (; n < LIST_MAX; n++) {
		uint64_t start = cprof_cursor_fixed(&cursor, unit->addr_size);
		uint64_t end = cprof_cursor_fixed(&cursor, unit->addr_size);
		if (cursor.failed || (!start && !end))
			break;
		if (start == top)
			base = end;
		else if (start < top - 1 && !emit(walk, base + start, base + end))
			break;
	}
	return pay(walk, n);
}

/* One entry of a DWARF 5 list; false: the end, or broken, or enough. */
static bool new_entry(const struct walk *walk, struct cprof_cursor *cursor, uint64_t *base)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	uint64_t start = 0, end = 0;
	uint8_t kind = cprof_cursor_u8(cursor);
	if (cursor->failed)
		return false;
	switch (kind) {
	case DW_RLE_base_addressx:
		return cprof_dwarf_unit_addrx(unit, cprof_cursor_uleb(cursor), base);
	case DW_RLE_base_address:
		*base = cprof_cursor_fixed(cursor, unit->addr_size);
		return !cursor->failed;
	case DW_RLE_startx_endx:
		if (!cprof_dwarf_unit_addrx(unit, cprof_cursor_uleb(cursor), &start) ||
		    !cprof_dwarf_unit_addrx(unit, cprof_cursor_uleb(cursor), &end))
			return false;
		break;
	case DW_RLE_startx_length:
		if (!cprof_dwarf_unit_addrx(unit, cprof_cursor_uleb(cursor), &start))
			return false;
		end = start + cprof_cursor_uleb(cursor);
		break;
	case DW_RLE_offset_pair:
		start = *base + cprof_cursor_uleb(cursor);
		end = *base + cprof_cursor_uleb(cursor);
		break;
	case DW_RLE_start_end:
		start = cprof_cursor_fixed(cursor, unit->addr_size);
		end = cprof_cursor_fixed(cursor, unit->addr_size);
		break;
	case DW_RLE_start_length:
		start = cprof_cursor_fixed(cursor, unit->addr_size);
		end = start + cprof_cursor_uleb(cursor);
		break;
	default: /* DW_RLE_end_of_list, or a kind whose size nobody knows */
		return false;
	}
	return !cursor->failed && emit(walk, start, end);
}

static size_t new_list(const struct walk *walk, uint64_t offset)
{
	const struct cprof_section *section = walk->unit->file->rnglists;
	struct cprof_cursor cursor;
	if (!open_list(walk->unit, section, offset, &cursor))
		return 0;
	uint64_t base = walk->unit->low_pc;
	size_t n = 0;
	while (n < LIST_MAX && new_entry(walk, &cursor, &base))
		n++;
	return pay(walk, n);
}

/* DW_FORM_rnglistx: the offset stands in a table at the unit's base, and counts from there. */
static bool list_at(const struct cprof_dwarf_unit *unit, uint64_t index, uint64_t *ret_offset)
{
	const struct cprof_section *section = unit->file->rnglists;
	if (!section || index > section->size)
		return false;
	const uint8_t *bytes = cprof_section_at(
		section, unit->rnglists_base + index * unit->offset_size, unit->offset_size);
	if (!bytes)
		return false;
	struct cprof_cursor cursor = { bytes, bytes + unit->offset_size, false };
	*ret_offset = unit->rnglists_base + cprof_cursor_fixed(&cursor, unit->offset_size);
	return true;
}

size_t cprof_dwarf_ranges(const struct cprof_dwarf_unit *unit,
			  const struct cprof_dwarf_extent *extent, cprof_dwarf_range_fn *fn,
			  void *ctx)
{
	struct walk walk = { unit, fn, ctx };
	if (extent->ranges.kind != CPROF_VALUE_NONE) {
		uint64_t offset = extent->ranges.u;
		if (extent->ranges.kind == CPROF_VALUE_LISTX && !list_at(unit, offset, &offset))
			return 0;
		return unit->version >= 5 ? new_list(&walk, offset)
					  : old_list(&walk, unit->ranges_base + offset);
	}
	if (extent->low.kind != CPROF_VALUE_ADDR || extent->high.kind == CPROF_VALUE_NONE)
		return 0;
	uint64_t high = extent->high.u;
	emit(&walk, extent->low.u,
	     extent->high.kind == CPROF_VALUE_ADDR ? high : extent->low.u + high);
	return 1;
}
