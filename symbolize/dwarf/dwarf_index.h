/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_index.h - which unit an address belongs to.
 *
 * Two sources: .debug_aranges where a compiler wrote it (cheap: no unit is read), and the ranges of the units'
 * root entries for all others (clang writes no .debug_aranges). The second is asked only when the first knows nothing.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_INDEX_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_INDEX_H

#include "symbolize/dwarf/dwarf_file.h"
#include "symbolize/elf/intervals.h"

struct cprof_dwarf_index {
	struct cprof_intervals from_aranges, from_units; /* what: index in units */
	uint64_t *units;                                 /* owned; offsets in .debug_info */
	size_t n_units, cap_units;
	struct cprof_map64 listed; /* unit offset -> 1: .debug_aranges has it */
	bool aranges_read, units_read;
	size_t n_passed; /* of the file's units in order: their own ranges are in from_units */
};

void cprof_dwarf_index_deinit(struct cprof_dwarf_index *index);

/*
 * A number to sort addresses by, so that the file is read from its start to its end: where the unit with code at `addr` begins, UINT64_MAX where
 * only a walk over all units can tell.
 */
uint64_t cprof_dwarf_index_order(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file,
				 uint64_t addr);

/* Note what units before `offset` say of themselves, before they are forgotten. */
void cprof_dwarf_index_pass(struct cprof_dwarf_index *index, struct cprof_dwarf_file *file,
			    uint64_t offset);

/* The unit with code at `addr`, or NULL. */
struct cprof_dwarf_unit *cprof_dwarf_index_find(struct cprof_dwarf_index *index,
						struct cprof_dwarf_file *file, uint64_t addr);

#endif
