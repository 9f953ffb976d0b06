/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_functions.h - the function at an address and the calls inlined into it there, by name.
 *
 * Owns the calls of all units that were asked about (dwarf_calls.h reads them) and the way from a call to its name,
 * looked up when it is first asked for: through DW_AT_abstract_origin and DW_AT_specification, into other units and
 * dwz's common file. A name that no linkage name tells is given its namespace.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_FUNCTIONS_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_FUNCTIONS_H

#include "symbolize/dwarf/dwarf_calls.h"

/* A zeroed struct knows no unit yet. */
struct cprof_dwarf_functions {
	struct cprof_map64 of_unit;       /* a unit's own address -> index in units + 1 */
	struct cprof_dwarf_calls **units; /* owned, and each of them */
	size_t n_units, cap_units;
	char **texts; /* owned, and each of them; names put together here */
	size_t n_texts, cap_texts;
};

/* Whether the unit's entries were read up to something unknown only; they are read if they were not. */
bool cprof_dwarf_functions_broken(struct cprof_dwarf_functions *functions,
				  struct cprof_dwarf_unit *unit);

void cprof_dwarf_functions_deinit(struct cprof_dwarf_functions *functions);

/* The innermost call at `addr` of an opened unit, named, or NULL. The unit must live as long as `functions`. */
struct cprof_dwarf_call *cprof_dwarf_functions_find(struct cprof_dwarf_functions *functions,
						    struct cprof_dwarf_unit *unit, uint64_t addr);

/* The call around `call`, named; NULL where it is a function of its own. */
struct cprof_dwarf_call *cprof_dwarf_functions_outer(struct cprof_dwarf_functions *functions,
						     struct cprof_dwarf_unit *unit,
						     const struct cprof_dwarf_call *call);

#endif
