/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_calls.h"

#include <dwarf.h>
#include <stdlib.h>

#include "base/array.h"
#include "symbolize/dwarf/dwarf_ranges.h"

#define DEPTH_MAX    1024
#define RANGE_BYTES  64  /* an interval, two pieces, a place in the sweep */
#define ENTRIES_PAID 256 /* for so many at once, two steps each */

void cprof_dwarf_calls_free(struct cprof_dwarf_calls *calls)
{
	if (!calls)
		return;
	free(calls->scopes);
	cprof_map64_deinit(&calls->scope_of);
	free(calls->all);
	cprof_intervals_deinit(&calls->intervals);
	free(calls);
}

/* ---- walking the unit ---- */

struct walk {
	struct cprof_dwarf_unit *unit;
	struct cprof_dwarf_calls *calls;
	struct cprof_error *err;
	uint32_t
		scope[DEPTH_MAX]; /* the namespace that entries at this depth stand in: index + 1 */
	uint32_t around[DEPTH_MAX];  /* the call that entries at this depth stand in */
	bool in_function[DEPTH_MAX]; /* whether one is around them, with code or without */
	uint32_t depth;
	uint32_t current; /* what add_range() adds to */
	uint64_t ranges_left;
};

static bool add_range(void *ctx, uint64_t start, uint64_t end)
{
	struct walk *walk = ctx;
	if (!walk->ranges_left || !cprof_dwarf_file_pay(walk->unit->file, 1, RANGE_BYTES))
		return false;
	walk->ranges_left--;
	struct cprof_interval interval = { start, end, walk->depth, walk->current };
	walk->err = cprof_intervals_add(&walk->calls->intervals, &interval);
	return !walk->err;
}

static bool add_call(struct walk *walk, const struct cprof_dwarf_call *call)
{
	struct cprof_dwarf_calls *calls = walk->calls;
	if (!cprof_dwarf_file_pay(walk->unit->file, 1, sizeof(*call)))
		return false;
	if (!CPROF_ARRAY_ROOM(calls->all, calls->n, calls->cap, 1)) {
		walk->err = cprof_error_no_memory();
		return false;
	}
	walk->current = (uint32_t)calls->n;
	calls->all[calls->n++] = *call;
	return true;
}

/* Remember the namespace of a function that has no linkage name to tell it: one with internal linkage. */
static void note_scope(struct walk *walk, uint64_t entry)
{
	if (!walk->scope[walk->depth])
		return;
	uint64_t *place = cprof_map64_put(&walk->calls->scope_of, entry, NULL);
	if (place)
		*place = walk->scope[walk->depth];
}

/* Of a call. Its names are not: looking strings up is most of what reading them would cost, and few are asked for. */
static bool is_wanted(uint16_t name)
{
	return name == DW_AT_low_pc || name == DW_AT_high_pc || name == DW_AT_ranges ||
	       name == DW_AT_call_file || name == DW_AT_call_line || name == DW_AT_call_column;
}

/* Reads a function's or an inlined call's attributes; becomes a record only if it has code. */
static void read_call(struct walk *walk, const struct cprof_abbrev *abbrev, uint64_t entry,
		      struct cprof_cursor *cursor)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	struct cprof_dwarf_extent extent = { 0 };
	struct cprof_dwarf_call call = {
		.entry = entry, .call_file = CPROF_CALL_NONE, .name = "", .linkage_name = ""
	};
	const struct cprof_abbrev_attr *attrs = &unit->abbrevs->attrs[abbrev->first_attr];
	if (abbrev->has_name && !abbrev->has_linkage_name)
		note_scope(walk, entry);
	if (!abbrev->has_code) {
		cprof_dwarf_unit_skip(unit, abbrev, cursor);
		return;
	}
	for (uint32_t i = 0; i < abbrev->n_attrs; i++) {
		struct cprof_value value;
		if (!is_wanted(attrs[i].name)) {
			cprof_dwarf_unit_skip_value(unit, &attrs[i], cursor);
			continue;
		}
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

/*
 * Types hold no code of their own; compilers that say where the next entry is spare us their members. Only a class in
 * a function may hold its methods' code: of lambdas, with gcc up to -O1.
 */
static bool skips_children(uint16_t tag, bool in_function)
{
	switch (tag) {
	case DW_TAG_structure_type:
	case DW_TAG_class_type:
	case DW_TAG_union_type:
	case DW_TAG_interface_type:
		return !in_function;
	case DW_TAG_enumeration_type:
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
	struct cprof_value value;
	uint32_t i = 0;
	/* Not what the others say: the name of a type is a string somewhere in hundreds of megabytes. */
	while (i < abbrev->n_attrs && attrs[i].name != DW_AT_sibling)
		cprof_dwarf_unit_skip_value(unit, &attrs[i++], &cursor);
	if (i == abbrev->n_attrs)
		return 0;
	cprof_dwarf_unit_value(unit, &attrs[i], &cursor, &value);
	return value.kind == CPROF_VALUE_REF ? value.u : 0;
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

/* The namespace that starts at the cursor becomes that of what follows one level down. */
static uint32_t enter_namespace(struct walk *walk, const struct cprof_abbrev *abbrev,
				struct cprof_cursor *cursor)
{
	struct cprof_dwarf_calls *calls = walk->calls;
	struct cprof_dwarf_scope scope = { walk->scope[walk->depth], "(anonymous namespace)" };
	const struct cprof_abbrev_attr *attrs = &walk->unit->abbrevs->attrs[abbrev->first_attr];
	for (uint32_t i = 0; i < abbrev->n_attrs; i++) {
		struct cprof_value value;
		cprof_dwarf_unit_value(walk->unit, &attrs[i], cursor, &value);
		if (attrs[i].name == DW_AT_name && value.kind == CPROF_VALUE_STRING)
			scope.name = value.string;
	}
	if (!CPROF_ARRAY_ROOM(calls->scopes, calls->n_scopes, calls->cap_scopes, 1)) {
		walk->err = cprof_error_no_memory();
		return 0;
	}
	calls->scopes[calls->n_scopes++] = scope;
	return (uint32_t)calls->n_scopes;
}

static void read_entry(struct walk *walk, const struct cprof_abbrev *abbrev, uint64_t entry,
		       struct cprof_cursor *cursor)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	uint64_t sibling = 0;
	uint32_t scope = walk->scope[walk->depth];
	walk->current = walk->around[walk->depth];
	if (abbrev->tag == DW_TAG_subprogram || abbrev->tag == DW_TAG_inlined_subroutine) {
		/* Below functions without code there still can be some: a local class's methods, lambdas. */
		read_call(walk, abbrev, entry, cursor);
	} else if (abbrev->tag == DW_TAG_namespace && abbrev->has_children) {
		scope = enter_namespace(walk, abbrev, cursor);
	} else {
		if (abbrev->has_sibling && abbrev->has_children &&
		    skips_children(abbrev->tag, walk->in_function[walk->depth]))
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
	bool in_function = walk->in_function[walk->depth] || abbrev->tag == DW_TAG_subprogram;
	walk->around[++walk->depth] = walk->current;
	walk->in_function[walk->depth] = in_function;
	walk->scope[walk->depth] = scope;
}

static void walk_unit(struct walk *walk)
{
	struct cprof_dwarf_unit *unit = walk->unit;
	struct cprof_cursor cursor = cprof_dwarf_unit_cursor(unit, unit->entries);
	walk->around[0] = CPROF_CALL_NONE;
	for (unsigned n = 1; cursor.at != cursor.end && !walk->err; n++) {
		if (n % ENTRIES_PAID == 0 && !cprof_dwarf_file_pay(unit->file, 2 * ENTRIES_PAID, 0))
			break;
		uint64_t entry = unit->offset + (uint64_t)(cursor.at - unit->bytes);
		const struct cprof_abbrev *abbrev = cprof_dwarf_unit_entry(unit, &cursor);
		if (abbrev)
			read_entry(walk, abbrev, entry, &cursor);
		else if (walk->depth)
			walk->depth--;
	}
	walk->calls->broken = cursor.failed;
}

static struct cprof_error *read_calls(struct cprof_dwarf_unit *unit,
				      struct cprof_dwarf_calls *calls)
{
	struct walk *walk = calloc(1, sizeof(*walk));
	if (!walk)
		return cprof_error_no_memory();
	walk->unit = unit;
	walk->calls = calls;
	/* Honest lists take their own bytes; many entries sharing one list would not. */
	walk->ranges_left = (unit->end - unit->offset) + (1u << 16);
	walk_unit(walk);
	struct cprof_error *err = walk->err;
	free(walk);
	void *fitting =
		err || !calls->n ? NULL : realloc(calls->all, calls->n * sizeof(*calls->all));
	if (fitting) {
		calls->all = fitting;
		calls->cap = calls->n;
	}
	return err ? err : cprof_intervals_flatten(&calls->intervals);
}

struct cprof_error *cprof_dwarf_calls_read(struct cprof_dwarf_unit *unit,
					   struct cprof_dwarf_calls **ret_calls)
{
	struct cprof_dwarf_calls *calls = calloc(1, sizeof(*calls));
	struct cprof_error *err = calls ? read_calls(unit, calls) : cprof_error_no_memory();
	if (err) {
		cprof_dwarf_calls_free(calls);
		return err;
	}
	*ret_calls = calls;
	return NULL;
}
