/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_stacks.h - whose stack a wait bears, where not every one brings its own.
 *
 * Under a storm of waits a stack is taken of one in so many, while entries and returns of all are told: count and times of
 * each wait are known, and its thread and lock. A wait without a stack bears that of the last one of its thread, at the same lock, by the
 * same operation and about as long (within a factor of two); where there is none, of the last one of its thread there
 * however long; of anybody there. As which waits bring one is not up to the program, in the mean each stack gets what it
 * should. Stacks are told by the rows that have them (wait_table.h). Pure.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_STACKS_H
#define CPROF_ATTACH_WAITS_WAIT_STACKS_H

#include <stddef.h>
#include <stdint.h>

#include "attach/locks/wait.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_WAIT_STACKS_NONE UINT32_MAX

struct cprof_wait_stacks {
	uint32_t *rows; /* owned */
	size_t n_rows, cap_rows;
	struct cprof_map64 by_likeness; /* -> index in rows */
};

/* A zeroed struct is ready for use. */
void cprof_wait_stacks_deinit(struct cprof_wait_stacks *stacks);

/* `wait`, which tells thread, call, address and delay, brought its stack, that of row `row`. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_stacks_note(struct cprof_wait_stacks *stacks,
					   const struct cprof_wait *wait, uint32_t row);

/* The row whose stack `wait` bears, which brought none; NONE: there is nobody alike yet. */
uint32_t cprof_wait_stacks_find(const struct cprof_wait_stacks *stacks,
				const struct cprof_wait *wait);

/* Show `fn` each number of a row that is kept, which it may change. */
void cprof_wait_stacks_each_row(struct cprof_wait_stacks *stacks,
				void (*fn)(void *ctx, uint32_t *row), void *ctx);

#endif
