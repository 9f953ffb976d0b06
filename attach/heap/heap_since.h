/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_since.h - the values of a heap profile at one moment, for what has changed since.
 *
 * Pure. What is told then is: allocated after the moment, and in use at the end less in use at the moment. Blocks that are in both
 * cancel out, and with them their part of the sampling error; what was freed in between is negative.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_SINCE_H
#define CPROF_ATTACH_HEAP_HEAP_SINCE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/heap_profile.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_heap_since {
	bool marked;
	uint32_t mark_ticks; /* a block that was born up to then is of before the moment */
	struct cprof_heap_since_row {
		struct cprof_heap_totals alloc, inuse;
	} * rows; /* owned; as many as the profile had then */
	uint32_t n_rows;
	struct cprof_heap_since_row all; /* their sums */
};

void cprof_heap_since_deinit(struct cprof_heap_since *since);

/* This is the moment: `alive` is in use now. Blocks that are added to the profile from here on are born later. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_since_mark(struct cprof_heap_since *since,
					  struct cprof_heap_profile *profile,
					  const struct cprof_map64 *alive);

/* The time to be given to the profile before blocks are added: `now_ns`, or later where the moment is of the same tick. */
uint64_t cprof_heap_since_clock(const struct cprof_heap_since *since, uint64_t now_ns);

/* Of before the moment; false where there is none. */
static inline bool cprof_heap_since_older(const struct cprof_heap_since *since,
					  const struct cprof_heap_block *block)
{
	return since->marked && block->born_ticks <= since->mark_ticks;
}

/* What row number `row` had at the moment; all zeros for later rows, and where there is no moment. */
struct cprof_heap_since_row cprof_heap_since_row(const struct cprof_heap_since *since,
						 uint32_t row);

#endif
