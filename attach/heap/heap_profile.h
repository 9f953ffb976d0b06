/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_profile.h - from sampled allocations to totals: unsampling, what lives, and how wrong it may be.
 *
 * Pure: stacks are numbers (stack_table.h), blocks are ids. A sample of `size` bytes taken with mean period T had the probability
 * p = 1 - exp(-size/T); it stands for 1/p objects and size/p bytes (Horvitz and Thompson), each sample by itself, never
 * an average. Sums are kept as doubles per (stack, size) and rounded once, at the end.
 *
 * Memory is bounded by distinct (stack, size) pairs and by sampled blocks that live.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_PROFILE_H
#define CPROF_ATTACH_HEAP_HEAP_PROFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_heap_totals {
	double objects, bytes;
	double variance; /* of bytes */
	uint64_t samples;
};

struct cprof_heap_profile {
	struct cprof_heap_row {
		uint32_t stack;
		uint32_t next; /* row + 1 with the same hash */
		uint64_t size;
		struct cprof_heap_totals alloc, inuse;
	} * rows; /* owned */
	uint32_t n_rows, cap_rows;
	struct cprof_map64 by_hash; /* of stack and size -> row + 1 */

	struct cprof_heap_block {
		uint64_t id, size, period;
		uint32_t row;
		uint32_t born_ticks; /* when it was taken in, as now_ns was then */
	} * blocks;                  /* owned; sampled, and not known to be freed */
	size_t n_blocks, cap_blocks;
	uint64_t now_ns; /* since the beginning of the run; the caller's, before blocks are added */
	size_t sweep_at; /* so many blocks are worth a look at what still lives */

	struct cprof_heap_totals alloc, inuse; /* inuse: set by cprof_heap_profile_settle() */
	uint64_t period_min, period_max;       /* seen */
	uint64_t absurd; /* samples that no allocator can have made, left out */
};

#define CPROF_HEAP_TICK_NS                                                                         \
	(10 * 1000000ull) /* in which births are kept: about as often as samples are read */

/* How long the block has lived at `at_ns`, to a tick. */
static inline uint64_t cprof_heap_block_age(const struct cprof_heap_block *block, uint64_t at_ns)
{
	const uint64_t born_ns = block->born_ticks * CPROF_HEAP_TICK_NS;
	return at_ns > born_ns ? at_ns - born_ns : 0;
}

void cprof_heap_profile_deinit(struct cprof_heap_profile *profile);

/*
 * How likely it was that a block of `size` bytes was sampled; 1 where every call is recorded (period 1). A period may be a weight in its place:
 * CPROF_HEAP_SAMPLE_WEIGHED of heap_sample.h.
 */
double cprof_heap_probability(uint64_t size, uint64_t period);

/* Take in one sample, of stack number `stack`. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_profile_add(struct cprof_heap_profile *profile, uint64_t id,
					   uint64_t size, uint64_t period, uint32_t stack);

/* Is it time to forget freed blocks? Then give the living ones' ids to cprof_heap_profile_forget(). */
bool cprof_heap_profile_crowded(const struct cprof_heap_profile *profile);
void cprof_heap_profile_forget(struct cprof_heap_profile *profile, const struct cprof_map64 *alive);

/* What lives now, `alive`, makes up inuse. */
void cprof_heap_profile_settle(struct cprof_heap_profile *profile, const struct cprof_map64 *alive);

/* Whether the sums can be true: no process holds more than its address space has room for. After _settle(). */
bool cprof_heap_profile_plausible(const struct cprof_heap_profile *profile);

/* Count one more block into `totals`. */
void cprof_heap_totals_count(struct cprof_heap_totals *totals, uint64_t size, uint64_t period);

/* A sum as a profile's value, which all of them together do not overflow; `whole` is the sum over all rows. */
int64_t cprof_heap_value(double sum, double whole);

/* Half the width of the 95 % interval of the total bytes. */
double cprof_heap_error95(const struct cprof_heap_totals *totals);

#endif
