/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_history.h - what was in use at moments of a run: by stack and age, in a ring that never grows.
 *
 * Pure: the living blocks are heap_profile.h's. When there are as many moments as there may be every second one is forgotten, and
 * those to come lie twice as far apart; so they are spread over the whole run, however long it is.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_HISTORY_H
#define CPROF_ATTACH_HEAP_HEAP_HISTORY_H

#include <stddef.h>
#include <stdint.h>

#include "attach/heap/heap_profile.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_HEAP_HISTORY_MOMENTS 64
#define CPROF_HEAP_HISTORY_SHARES  (1u << 18) /* of all moments together, 24 bytes each */

/* Of the blocks of one stack and age. */
struct cprof_heap_share {
	uint32_t stack;
	unsigned age; /* of cprof_heap_ages */
	double bytes;
	uint64_t samples;
};

struct cprof_heap_history {
	uint64_t every_ns; /* between two moments; 0: none is kept */
	uint64_t due_ns;   /* the next one, since the beginning of the run */
	struct cprof_heap_moment {
		uint64_t at_ns;                  /* since the beginning of the run */
		struct cprof_heap_share *shares; /* owned */
		uint32_t n, cap;
	} moments[CPROF_HEAP_HISTORY_MOMENTS];
	size_t n;
	size_t n_shares; /* of all of them */
};

void cprof_heap_history_deinit(struct cprof_heap_history *history);

/* Take a moment in: of the blocks in `profile` that are in `alive`, at `at_ns`, which is not before the last one. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_history_take(struct cprof_heap_history *history,
					    const struct cprof_heap_profile *profile,
					    const struct cprof_map64 *alive, uint64_t at_ns);

#endif
