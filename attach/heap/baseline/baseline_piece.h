/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_piece.h - a large and mostly empty table of words, a page of memory at a time.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_PIECE_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_PIECE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"

struct cprof_baseline_piece {
	uint64_t addr;
	size_t n; /* words; 0: they could not be read */
	uint64_t words[CPROF_BASELINE_PAGE / 8];
};

/* What is in memory of the next page of [*at, end), which are multiples of 8; *at is where to go on. False: no more. */
bool cprof_baseline_piece_next(struct cprof_baseline_memory *memory, uint64_t *at, uint64_t end,
			       struct cprof_baseline_piece *ret_piece);

#endif
