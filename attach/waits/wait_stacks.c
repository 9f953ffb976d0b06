/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_stacks.h"

#include <stdlib.h>

#include "base/array.h"

#define ROWS_MAX     65536 /* with locks that come and go: then all is begun anew */
#define N_LIKENESSES 3

void cprof_wait_stacks_deinit(struct cprof_wait_stacks *stacks)
{
	free(stacks->rows);
	cprof_map64_deinit(&stacks->by_likeness);
	*stacks = (struct cprof_wait_stacks){ 0 };
}

/* The most alike first. */
static void likenesses(const struct cprof_wait *wait, uint64_t ret_keys[N_LIKENESSES])
{
	const uint64_t delay_ns = wait->delay_ns >= 1 ? (uint64_t)wait->delay_ns : 1;
	const uint64_t length = 64 - (uint64_t)__builtin_clzll(delay_ns);
	const uint64_t call = (uint64_t)(uint32_t)wait->syscall << 32 | wait->futex_op;
	const uint64_t there = cprof_hash_mix(cprof_hash_mix(call, wait->requeued), wait->addr);
	const uint64_t mine = cprof_hash_mix(there, wait->tid);
	ret_keys[0] = cprof_hash_mix(mine, length);
	ret_keys[1] = mine;
	ret_keys[2] = there;
}

struct cprof_error *cprof_wait_stacks_note(struct cprof_wait_stacks *stacks,
					   const struct cprof_wait *wait, uint32_t row)
{
	uint64_t keys[N_LIKENESSES];
	likenesses(wait, keys);
	if (stacks->n_rows + N_LIKENESSES > ROWS_MAX) {
		cprof_map64_deinit(&stacks->by_likeness);
		stacks->n_rows = 0;
	}
	if (!CPROF_ARRAY_ROOM(stacks->rows, stacks->n_rows, stacks->cap_rows, N_LIKENESSES))
		return cprof_error_no_memory();
	for (size_t i = 0; i < N_LIKENESSES; i++) {
		bool is_new;
		uint64_t *index = cprof_map64_put(&stacks->by_likeness, keys[i], &is_new);
		if (!index)
			return cprof_error_no_memory();
		if (is_new)
			*index = stacks->n_rows++;
		stacks->rows[*index] = row;
	}
	return NULL;
}

uint32_t cprof_wait_stacks_find(const struct cprof_wait_stacks *stacks,
				const struct cprof_wait *wait)
{
	uint64_t keys[N_LIKENESSES];
	likenesses(wait, keys);
	for (size_t i = 0; i < N_LIKENESSES; i++) {
		const uint64_t *index = cprof_map64_get(&stacks->by_likeness, keys[i]);
		if (index)
			return stacks->rows[*index];
	}
	return CPROF_WAIT_STACKS_NONE;
}

void cprof_wait_stacks_each_row(struct cprof_wait_stacks *stacks,
				void (*fn)(void *ctx, uint32_t *row), void *ctx)
{
	for (size_t i = 0; i < stacks->n_rows; i++)
		fn(ctx, &stacks->rows[i]);
}
