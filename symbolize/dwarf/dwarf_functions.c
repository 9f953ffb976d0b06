/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwarf/dwarf_functions.h"

#include <dwarf.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/array.h"

#define HOPS_MAX 16 /* references followed from a function to its name */

void cprof_dwarf_functions_deinit(struct cprof_dwarf_functions *functions)
{
	for (size_t i = 0; i < functions->n_units; i++)
		cprof_dwarf_calls_free(functions->units[i]);
	free(functions->units);
	cprof_map64_deinit(&functions->of_unit);
	for (size_t i = 0; i < functions->n_texts; i++)
		free(functions->texts[i]);
	free(functions->texts);
	*functions = (struct cprof_dwarf_functions){ 0 };
}

/* ---- units ---- */

/* The calls of an opened unit, read on first use; NULL: no memory. */
static struct cprof_dwarf_calls *calls_of(struct cprof_dwarf_functions *functions,
					  struct cprof_dwarf_unit *unit)
{
	uint64_t *place = cprof_map64_put(&functions->of_unit, (uintptr_t)unit, NULL);
	if (!place ||
	    !CPROF_ARRAY_ROOM(functions->units, functions->n_units, functions->cap_units, 1))
		return NULL;
	if (!*place) {
		struct cprof_dwarf_calls *calls;
		struct cprof_error *err = cprof_dwarf_calls_read(unit, &calls);
		if (err) {
			cprof_error_free(err);
			return NULL;
		}
		functions->units[functions->n_units++] = calls;
		*place = functions->n_units;
	}
	return functions->units[*place - 1];
}

/* ---- names ---- */

struct reference {
	struct cprof_dwarf_file *file;
	uint64_t entry;
};

/* Takes from the entry what `call` lacks; where it leads on in `next`. */
static bool read_names(struct cprof_dwarf_unit *unit, uint64_t entry, struct cprof_dwarf_call *call,
		       struct reference *next)
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

/* "ns::inner::name" for a name found at `entry` of the unit of `calls`; the name as it is where nothing is known. */
static const char *qualify(struct cprof_dwarf_functions *functions,
			   const struct cprof_dwarf_calls *calls, uint64_t entry, const char *name)
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
	    !CPROF_ARRAY_ROOM(functions->texts, functions->n_texts, functions->cap_texts, 1)) {
		free(text);
		return name;
	}
	functions->texts[functions->n_texts++] = text;
	return text;
}

static void find_names(struct cprof_dwarf_functions *functions, struct cprof_dwarf_unit *unit,
		       struct cprof_dwarf_call *call)
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
	const struct cprof_dwarf_calls *calls = calls_of(functions, named_in);
	if (calls)
		call->name = qualify(functions, calls, named_at, call->name);
}

/* ---- asking ---- */

bool cprof_dwarf_functions_broken(struct cprof_dwarf_functions *functions,
				  struct cprof_dwarf_unit *unit)
{
	const struct cprof_dwarf_calls *calls = calls_of(functions, unit);
	return !calls || calls->broken;
}

static struct cprof_dwarf_call *named(struct cprof_dwarf_functions *functions,
				      struct cprof_dwarf_unit *unit, struct cprof_dwarf_call *call)
{
	if (!call->named)
		find_names(functions, unit, call);
	return call;
}

struct cprof_dwarf_call *cprof_dwarf_functions_find(struct cprof_dwarf_functions *functions,
						    struct cprof_dwarf_unit *unit, uint64_t addr)
{
	unit->file->borrowed = true;
	struct cprof_dwarf_calls *calls = calls_of(functions, unit);
	uint32_t index =
		calls ? cprof_intervals_find(&calls->intervals, addr) : CPROF_INTERVAL_NONE;
	return index == CPROF_INTERVAL_NONE ? NULL : named(functions, unit, &calls->all[index]);
}

struct cprof_dwarf_call *cprof_dwarf_functions_outer(struct cprof_dwarf_functions *functions,
						     struct cprof_dwarf_unit *unit,
						     const struct cprof_dwarf_call *call)
{
	struct cprof_dwarf_calls *calls =
		call->parent == CPROF_CALL_NONE ? NULL : calls_of(functions, unit);
	return calls ? named(functions, unit, &calls->all[call->parent]) : NULL;
}
