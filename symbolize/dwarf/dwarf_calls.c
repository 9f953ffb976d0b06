#include "symbolize/dwarf/dwarf_calls.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>

#include "symbolize/dwarf/dwarf_ranges.h"

#define DEPTH_MAX 1024
#define HOPS_MAX  16 /* references followed from a function to its name */

void cprof_dwarf_calls_free(struct cprof_dwarf_calls *calls)
{
	if (!calls)
		return;
	for (size_t i = 0; i < calls->n_texts; i++)
		free(calls->texts[i]);
	free(calls->texts);
	free(calls->scopes);
	cprof_map64_deinit(&calls->scope_of);
	free(calls->all);
	cprof_intervals_deinit(&calls->intervals);
	free(calls);
}

/* ---- walking the unit ---- */

struct walk {
	const struct cprof_dwarf_unit *unit;
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

/* Remember the namespace of a function that has no linkage name to tell it: one with internal linkage. */
static void note_scope(struct walk *walk, uint64_t entry)
{
	if (!walk->scope[walk->depth])
		return;
	uint64_t *place = cprof_map64_put(&walk->calls->scope_of, entry, NULL);
	if (place)
		*place = walk->scope[walk->depth];
}

/* Reads a function's or an inlined call's attributes; becomes a record only if it has code. */
static void read_call(struct walk *walk, const struct cprof_abbrev *abbrev, uint64_t entry,
		      struct cprof_cursor *cursor)
{
	const struct cprof_dwarf_unit *unit = walk->unit;
	bool has_name = false, has_linkage_name = false;
	struct cprof_dwarf_extent extent = { 0 };
	struct cprof_dwarf_call call = {
		.entry = entry, .call_file = CPROF_CALL_NONE, .name = "", .linkage_name = ""
	};
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
		case DW_AT_name:
			has_name = true;
			break;
		case DW_AT_linkage_name:
		case DW_AT_MIPS_linkage_name:
			has_linkage_name = true;
			break;
		default:
			break;
		}
	}
	if (has_name && !has_linkage_name)
		note_scope(walk, entry);
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
	if (!cprof_dwarf_grow(&calls->scopes, &calls->cap_scopes, calls->n_scopes, sizeof(scope))) {
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

static struct cprof_error *read_calls(const struct cprof_dwarf_unit *unit,
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

struct cprof_dwarf_calls *cprof_dwarf_calls_of(struct cprof_dwarf_unit *unit)
{
	if (unit->calls)
		return unit->calls;
	struct cprof_dwarf_calls *calls = calloc(1, sizeof(*calls));
	struct cprof_error *err = calls ? read_calls(unit, calls) : cprof_error_no_memory();
	if (err) {
		cprof_dwarf_calls_free(calls);
		cprof_error_free(err);
		return NULL;
	}
	unit->calls = calls;
	return calls;
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

/* "ns::inner::name" for a name found at `entry` of this unit; the name as it is where nothing is known. */
static const char *qualify(struct cprof_dwarf_calls *calls, uint64_t entry, const char *name)
{
	const uint64_t *scope_of = cprof_map64_get(&calls->scope_of, entry);
	char *text = NULL;
	uint64_t at = scope_of ? *scope_of : 0;
	for (unsigned depth = 0; at && depth < HOPS_MAX; depth++) {
		const struct cprof_dwarf_scope *scope = &calls->scopes[at - 1];
		char *longer;
		if (asprintf(&longer, "%s::%s", scope->name, text ? text : name) < 0)
			break;
		free(text);
		text = longer;
		at = scope->outer;
	}
	if (!text ||
	    !cprof_dwarf_grow(&calls->texts, &calls->cap_texts, calls->n_texts, sizeof(text))) {
		free(text);
		return name;
	}
	calls->texts[calls->n_texts++] = text;
	return text;
}

static void find_names(struct cprof_dwarf_unit *unit, struct cprof_dwarf_call *call)
{
	struct reference at = { unit->file, call->entry };
	struct cprof_dwarf_unit *named_in = NULL;
	uint64_t named_at = 0;
	call->named = true;
	for (int hop = 0; hop < HOPS_MAX; hop++) {
		struct cprof_dwarf_unit *holder = unit;
		uint64_t entry = at.entry;
		bool had_name = *call->name != 0;
		if (at.file != unit->file || entry < unit->offset || entry >= unit->end)
			holder = cprof_dwarf_file_unit_around(at.file, entry);
		bool leads_on = holder && read_names(holder, entry, call, &at);
		if (!had_name && *call->name) {
			named_in = holder;
			named_at = entry;
		}
		if (!leads_on)
			break;
	}
	/* The name's namespace is where the name stands, which in LTO is another unit. */
	if (!named_in || *call->linkage_name)
		return;
	struct cprof_dwarf_calls *calls = cprof_dwarf_calls_of(named_in);
	if (calls)
		call->name = qualify(calls, named_at, call->name);
}

static struct cprof_dwarf_call *named(struct cprof_dwarf_unit *unit, struct cprof_dwarf_call *call)
{
	if (!call->named)
		find_names(unit, call);
	return call;
}

struct cprof_dwarf_call *cprof_dwarf_calls_find(struct cprof_dwarf_unit *unit, uint64_t addr)
{
	struct cprof_dwarf_calls *calls = cprof_dwarf_calls_of(unit);
	uint32_t index =
		calls ? cprof_intervals_find(&calls->intervals, addr) : CPROF_INTERVAL_NONE;
	return index == CPROF_INTERVAL_NONE ? NULL : named(unit, &calls->all[index]);
}

struct cprof_dwarf_call *cprof_dwarf_calls_outer(struct cprof_dwarf_unit *unit,
						 const struct cprof_dwarf_call *call)
{
	return call->parent == CPROF_CALL_NONE ? NULL
					       : named(unit, &unit->calls->all[call->parent]);
}
