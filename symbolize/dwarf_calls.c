#include "symbolize/dwarf_calls.h"

#include <dwarf.h>
#include <stdlib.h>

#include "symbolize/dwarf_ranges.h"

#define DEPTH_MAX 1024
#define HOPS_MAX  16 /* references followed from a function to its name */

void cprof_dwarf_calls_free(struct cprof_dwarf_calls *calls)
{
	if (!calls)
		return;
	free(calls->all);
	cprof_intervals_deinit(&calls->intervals);
	free(calls);
}

/* ---- walking the unit ---- */

struct walk {
	const struct cprof_dwarf_unit *unit;
	struct cprof_dwarf_calls *calls;
	struct cprof_error *err;
	uint32_t around[DEPTH_MAX]; /* the call that entries at this depth stand in */
	uint32_t depth;
	uint32_t current; /* what add_range() adds to */
	uint64_t ranges_left;
};

static bool add_range(void *ctx, uint64_t start, uint64_t end)
{
	struct walk *walk = ctx;
	if (!walk->ranges_left)
		return false;
	walk->ranges_left--;
	struct cprof_interval interval = { start, end, walk->depth, walk->current };
	walk->err = cprof_intervals_add(&walk->calls->intervals, &interval);
	return !walk->err;
}

static bool add_call(struct walk *walk, const struct cprof_dwarf_call *call)
{
	struct cprof_dwarf_calls *calls = walk->calls;
	if (calls->n == calls->cap) {
		size_t cap = calls->cap ? calls->cap * 2 : 128;
		void *all = realloc(calls->all, cap * sizeof(*calls->all));
		if (!all) {
			walk->err = cprof_error_no_memory();
			return false;
		}
		calls->all = all;
		calls->cap = cap;
	}
	walk->current = (uint32_t)calls->n;
	calls->all[calls->n++] = *call;
	return true;
}

/* Reads a function's or an inlined call's attributes; becomes a record only if it has code. */
static void read_call(struct walk *walk, const struct cprof_abbrev *abbrev, uint64_t entry,
		      struct cprof_cursor *cursor, uint64_t *ret_sibling)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	struct cprof_dwarf_extent extent = { 0 };
	struct cprof_dwarf_call call = { .entry = entry, .name = "", .linkage_name = "" };
	const struct cprof_abbrev_attr *attrs = &unit->abbrevs->attrs[abbrev->first_attr];
	for (uint32_t i = 0; i < abbrev->n_attrs; i++) {
		struct cprof_value value;
		cprof_dwarf_unit_value(unit, &attrs[i], cursor, &value);
		switch (attrs[i].name) {
		case DW_AT_low_pc:
			extent.low = value;
			break;
		case DW_AT_high_pc:
			extent.high = value;
			break;
		case DW_AT_ranges:
			extent.ranges = value;
			break;
		case DW_AT_call_file:
			call.call_file = (uint32_t)value.u;
			break;
		case DW_AT_call_line:
			call.call_line = (uint32_t)value.u;
			break;
		case DW_AT_call_column:
			call.call_column = (uint32_t)value.u;
			break;
		case DW_AT_sibling:
			*ret_sibling = value.kind == CPROF_VALUE_REF ? value.u : 0;
			break;
		default:
			break;
		}
	}
	if (extent.ranges.kind == CPROF_VALUE_NONE && extent.low.kind != CPROF_VALUE_ADDR)
		return;
	call.parent =
		abbrev->tag == DW_TAG_subprogram ? CPROF_CALL_NONE : walk->around[walk->depth];
	if (add_call(walk, &call))
		cprof_dwarf_ranges(unit, &extent, add_range, walk);
}

/* Types hold no code of their own; compilers that say where the next entry is spare us their members. */
static bool skips_children(uint16_t tag)
{
	switch (tag) {
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_enumeration_type:
	case DW_TAG_interface_type:
	case DW_TAG_subroutine_type:
	case DW_TAG_array_type:
	case DW_TAG_call_site:
	case DW_TAG_GNU_call_site:
		return true;
	default:
		return false;
	}
}

static uint64_t sibling_of(const struct cprof_dwarf_unit *unit, const struct cprof_abbrev *abbrev,
			   struct cprof_cursor cursor)
{
	const struct cprof_abbrev_attr *attrs = &unit->abbrevs->attrs[abbrev->first_attr];
	for (uint32_t i = 0; i < abbrev->n_attrs; i++) {
		struct cprof_value value;
		cprof_dwarf_unit_value(unit, &attrs[i], &cursor, &value);
		if (attrs[i].name == DW_AT_sibling)
			return value.kind == CPROF_VALUE_REF ? value.u : 0;
	}
	return 0;
}

/* Go on at `sibling` if that lies ahead, else read on. */
static bool jump(const struct cprof_dwarf_unit *unit, uint64_t sibling, struct cprof_cursor *cursor)
{
	const uint8_t *target = unit->bytes + (sibling - unit->offset);
	if (sibling <= unit->offset || sibling > unit->end || target < cursor->at)
		return false;
	cursor->at = target;
	return true;
}

static void read_entry(struct walk *walk, const struct cprof_abbrev *abbrev, uint64_t entry,
		       struct cprof_cursor *cursor)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	uint64_t sibling = 0;
	walk->current = walk->around[walk->depth];
	if (abbrev->tag == DW_TAG_subprogram || abbrev->tag == DW_TAG_inlined_subroutine) {
		size_t n = walk->calls->n;
		read_call(walk, abbrev, entry, cursor, &sibling);
		/* Declarations and abstract functions: nothing below them has code. */
		if (walk->calls->n == n && sibling && abbrev->tag == DW_TAG_subprogram &&
		    jump(unit, sibling, cursor))
			return;
	} else {
		if (abbrev->has_sibling && abbrev->has_children && skips_children(abbrev->tag))
			sibling = sibling_of(unit, abbrev, *cursor);
		cprof_dwarf_unit_skip(unit, abbrev, cursor);
		if (sibling && jump(unit, sibling, cursor))
			return;
	}
	if (!abbrev->has_children)
		return;
	if (walk->depth + 1 == DEPTH_MAX) {
		cprof_cursor_fail(cursor);
		return;
	}
	walk->around[++walk->depth] = walk->current;
}

static void walk_unit(struct walk *walk)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	struct cprof_cursor cursor = cprof_dwarf_unit_cursor(unit, unit->entries);
	walk->around[0] = CPROF_CALL_NONE;
	while (cursor.at != cursor.end && !walk->err) {
		uint64_t entry = unit->offset + (uint64_t)(cursor.at - unit->bytes);
		const struct cprof_abbrev *abbrev = cprof_dwarf_unit_entry(unit, &cursor);
		if (abbrev)
			read_entry(walk, abbrev, entry, &cursor);
		else if (walk->depth)
			walk->depth--;
	}
}

struct cprof_error *cprof_dwarf_calls_read(const struct cprof_dwarf_unit *unit,
					   struct cprof_dwarf_calls **ret_calls)
{
	struct cprof_dwarf_calls *calls = calloc(1, sizeof(*calls));
	struct walk *walk = calloc(1, sizeof(*walk));
	if (!calls || !walk) {
		free(calls);
		free(walk);
		return cprof_error_no_memory();
	}
	walk->unit = unit;
	walk->calls = calls;
	/* Honest lists take their own bytes; many entries sharing one list would not. */
	walk->ranges_left = (unit->end - unit->offset) + (1u << 16);
	walk_unit(walk);
	struct cprof_error *err = walk->err;
	free(walk);
	if (!err)
		err = cprof_intervals_flatten(&calls->intervals);
	if (err) {
		cprof_dwarf_calls_free(calls);
		return err;
	}
	*ret_calls = calls;
	return NULL;
}

/* ---- names ---- */

struct reference {
	struct cprof_dwarf_file *file;
	uint64_t entry;
};

/* Takes from the entry what `call` lacks; where it leads on in `next`. */
static bool read_names(const struct cprof_dwarf_unit *unit, uint64_t entry,
		       struct cprof_dwarf_call *call, struct reference *next)
{
	struct cprof_cursor cursor = cprof_dwarf_unit_cursor(unit, entry);
	const struct cprof_abbrev *abbrev = cprof_dwarf_unit_entry(unit, &cursor);
	bool leads_on = false;
	for (uint32_t i = 0; abbrev && i < abbrev->n_attrs; i++) {
		const struct cprof_abbrev_attr *attr =
			&unit->abbrevs->attrs[abbrev->first_attr + i];
		struct cprof_value value;
		cprof_dwarf_unit_value(unit, attr, &cursor, &value);
		switch (attr->name) {
		case DW_AT_name:
			if (!*call->name && value.kind == CPROF_VALUE_STRING)
				call->name = value.string;
			break;
		case DW_AT_linkage_name:
		case DW_AT_MIPS_linkage_name:
			if (!*call->linkage_name && value.kind == CPROF_VALUE_STRING)
				call->linkage_name = value.string;
			break;
		case DW_AT_decl_line:
			if (!call->start_line)
				call->start_line = (uint32_t)value.u;
			break;
		case DW_AT_abstract_origin:
		case DW_AT_specification:
			leads_on = value.kind == CPROF_VALUE_REF ||
				   (value.kind == CPROF_VALUE_REF_ALT && unit->file->alt);
			next->file = value.kind == CPROF_VALUE_REF ? unit->file : unit->file->alt;
			next->entry = value.u;
			break;
		default:
			break;
		}
	}
	return leads_on;
}

static void find_names(const struct cprof_dwarf_unit *unit, struct cprof_dwarf_call *call)
{
	struct reference at = { unit->file, call->entry };
	call->named = true;
	for (int hop = 0; hop < HOPS_MAX; hop++) {
		const struct cprof_dwarf_unit *holder = unit;
		if (at.file != unit->file || at.entry < unit->offset || at.entry >= unit->end)
			holder = cprof_dwarf_file_unit_around(at.file, at.entry);
		if (!holder || !read_names(holder, at.entry, call, &at))
			return;
	}
}

static struct cprof_dwarf_call *named(const struct cprof_dwarf_unit *unit,
				      struct cprof_dwarf_call *call)
{
	if (!call->named)
		find_names(unit, call);
	return call;
}

struct cprof_dwarf_call *cprof_dwarf_calls_find(const struct cprof_dwarf_unit *unit,
						struct cprof_dwarf_calls *calls, uint64_t addr)
{
	uint32_t index = cprof_intervals_find(&calls->intervals, addr);
	return index == CPROF_INTERVAL_NONE ? NULL : named(unit, &calls->all[index]);
}

struct cprof_dwarf_call *cprof_dwarf_calls_outer(const struct cprof_dwarf_unit *unit,
						 struct cprof_dwarf_calls *calls,
						 const struct cprof_dwarf_call *call)
{
	return call->parent == CPROF_CALL_NONE ? NULL : named(unit, &calls->all[call->parent]);
}
