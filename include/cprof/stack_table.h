/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/stack_table.h - each distinct frame and each distinct stack once, known by a small number.
 *
 * Every mode counts by stack: here is the one place that tells which stacks are equal. Numbers count up from 0 in the order
 * of first appearance and stay valid; memory is bounded by distinct frames and stacks, never by how long it runs. Knows
 * nothing of processes or names.
 */
#ifndef CPROF_STACK_TABLE_H
#define CPROF_STACK_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "cprof/error.h"
#include "cprof/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A code address as it goes into Location.address: callers already have 1 taken off. */
struct cprof_stack_frame {
	uint64_t addr;
	uint32_t mapping; /* from cprof_builder_mapping(), or 0 where the address belongs to none */
};

struct cprof_stack_table {
	struct cprof_stack_frame *frames; /* owned, as all of it; distinct */
	uint32_t n_frames, cap_frames;
	struct cprof_stack_run {
		uint32_t first, n; /* in items */
	} * stacks;
	uint32_t n_stacks, cap_stacks;
	uint32_t *items; /* numbers of frames, leaf first, one stack after the other */
	uint32_t n_items, cap_items;
	struct cprof_map64 frame_by_hash, stack_by_hash;
	uint32_t *scratch; /* the stack being looked up */
	uint32_t cap_scratch;
	uint32_t *
		recent; /* numbers + 1 of stacks that were asked for lately, by what their frames are; a guess */
};

/* Two stacks of numbers: what makes them equal, also where they are kept elsewhere (merge.c). */
static inline uint64_t cprof_stack_hash(const uint32_t *items, size_t n)
{
	uint64_t hash = n;
	for (size_t i = 0; i < n; i++)
		hash = cprof_hash_mix(hash, items[i]);
	return hash;
}

static inline bool cprof_stack_equal(const uint32_t *a, size_t n_a, const uint32_t *b, size_t n_b)
{
	return n_a == n_b && (!n_a || memcmp(a, b, n_a * sizeof(*a)) == 0);
}

/* A zeroed struct is an empty table. */
void cprof_stack_table_deinit(struct cprof_stack_table *table);

/*
 * The number of the stack of `n` frames, leaf first, which may be 0. A few nanoseconds a frame where it is known. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_stack_table_add(struct cprof_stack_table *table,
					  const struct cprof_stack_frame *frames, size_t n,
					  uint32_t *ret_stack);

/* The frames of a stack, as numbers; borrowed until the next stack is added. */
static inline const uint32_t *cprof_stack_table_items(const struct cprof_stack_table *table,
						      uint32_t stack, uint32_t *ret_n)
{
	*ret_n = table->stacks[stack].n;
	return table->items + table->stacks[stack].first;
}

#ifdef __cplusplus
}
#endif

#endif
