/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/elf/intervals.h - nested address ranges flattened, so that one binary search finds the innermost.
 *
 * Where ranges overlap the one with the greater depth wins; outside of it the one around it. Broken nesting
 * gives some answer, never a wrong memory access.
 */
#ifndef CPROF_SYMBOLIZE_ELF_INTERVALS_H
#define CPROF_SYMBOLIZE_ELF_INTERVALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

#define CPROF_INTERVAL_NONE UINT32_MAX

struct cprof_interval {
	uint64_t start, end;
	uint32_t depth;
	uint32_t what; /* the owner's index */
};

struct cprof_intervals {
	struct cprof_interval *added; /* owned; gone after _flatten */
	size_t n_added, cap_added;
	struct cprof_interval_piece {
		uint64_t start; /* up to the next piece's */
		uint32_t what;  /* CPROF_INTERVAL_NONE: a gap */
	} * pieces;             /* owned; by start */
	size_t n;
};

void cprof_intervals_deinit(struct cprof_intervals *intervals);
struct cprof_error *cprof_intervals_add(struct cprof_intervals *intervals,
					const struct cprof_interval *interval);

/* After the last _add and before the first _find. Errors: NO_MEMORY. */
struct cprof_error *cprof_intervals_flatten(struct cprof_intervals *intervals);

/* `what` of the innermost interval that holds `addr`, or CPROF_INTERVAL_NONE. */
uint32_t cprof_intervals_find(const struct cprof_intervals *intervals, uint64_t addr);

#endif
