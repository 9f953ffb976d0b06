/*
 * symbolize/dwarf/dwarf_calls.h - the functions of one unit and the calls inlined into them, by address.
 *
 * Owns the index that answers "which function, and which inlined calls around this address": the unit's entries
 * are walked once, names are looked up when first asked for (through DW_AT_abstract_origin and
 * DW_AT_specification, into other units and dwz's common file).
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

	/* Looked up on demand. */
	bool named;
	uint32_t start_line;
	const char *name, *linkage_name; /* "" where unknown */
};

struct cprof_dwarf_calls {
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
	char **texts;     /* owned, and each of them; names put together here */
	size_t n_texts, cap_texts;
};

/* The index of an opened unit, made on first use and kept by it; NULL: no memory. An unreadable rest is left out. */
struct cprof_dwarf_calls *cprof_dwarf_calls_of(struct cprof_dwarf_unit *unit);
void cprof_dwarf_calls_free(struct cprof_dwarf_calls *calls);

/* The innermost call at `addr`, named, or NULL. */
struct cprof_dwarf_call *cprof_dwarf_calls_find(struct cprof_dwarf_unit *unit, uint64_t addr);

/* The call around `call`, named; NULL where it is a function of its own. */
struct cprof_dwarf_call *cprof_dwarf_calls_outer(struct cprof_dwarf_unit *unit,
						 const struct cprof_dwarf_call *call);

#endif
