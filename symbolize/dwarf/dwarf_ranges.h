/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_ranges.h - the code addresses of an entry: low and high pc, or a list in another section.
 *
 * Source of truth: DWARF 4 "Non-Contiguous Address Ranges", DWARF 5 "Range List Table".
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_RANGES_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_RANGES_H

#include "symbolize/dwarf/dwarf_file.h"

/* The attributes that say where an entry's code is, as they were found. */
struct cprof_dwarf_extent {
	struct cprof_value low, high, ranges; /* CPROF_VALUE_NONE where the entry has none */
};

/* Called for each range [start, end), start < end; false ends the walk. */
typedef bool cprof_dwarf_range_fn(void *ctx, uint64_t start, uint64_t end);

/*
 * Hand the ranges of an entry of `unit` to `fn`; code that the linker dropped (addresses 0, 1 and the last two) is
 * left out. Returns the number of list entries read, for callers that bound their work.
 */
size_t cprof_dwarf_ranges(const struct cprof_dwarf_unit *unit,
			  const struct cprof_dwarf_extent *extent, cprof_dwarf_range_fn *fn,
			  void *ctx);

#endif
