/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_calls.h - the functions of one unit and the calls inlined into them, by address.
 *
 * Owns the walk over the unit's entries, and the index of calls by address that it makes. What they are called is
 * dwarf_functions.h's.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_CALLS_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_CALLS_H

#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/elf/intervals.h"

#define CPROF_CALL_NONE UINT32_MAX

struct cprof_dwarf_call {
	uint64_t entry;  /* offset of its own entry */
	uint32_t parent; /* the call it is inlined into; CPROF_CALL_NONE: a function of its own */
	uint32_t call_file, call_line,
		call_column; /* where it was called; CPROF_CALL_NONE, 0, 0 unknown */

	/* For dwarf_functions.h, which fills them in when they are first asked for. */
	bool named;
	uint32_t start_line;
	const char *name, *linkage_name; /* "" where unknown */
};

struct cprof_dwarf_calls {
	bool broken; /* an entry could not be read, and what follows it is left out */
	struct cprof_dwarf_call *all; /* owned */
	size_t n, cap;
	struct cprof_intervals intervals; /* what: index in all */
	struct cprof_dwarf_scope {        /* a namespace */
		uint32_t outer;           /* index + 1; 0: none */
		const char *name;
	} * scopes; /* owned */
	size_t n_scopes, cap_scopes;
	struct cprof_map64
		scope_of; /* entry of a function without linkage name -> index in scopes + 1 */
};

/* The calls of an opened unit; an unreadable rest is left out. Errors: NO_MEMORY. */
struct cprof_error *cprof_dwarf_calls_read(struct cprof_dwarf_unit *unit,
					   struct cprof_dwarf_calls **ret_calls);
void cprof_dwarf_calls_free(struct cprof_dwarf_calls *calls);

#endif
