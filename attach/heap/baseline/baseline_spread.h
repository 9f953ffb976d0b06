/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_spread.h - blocks whose stacks the allocator knows, in an account, and nothing counted twice.
 *
 * How much is in use is known exactly, by size class. By which stacks is estimated, from the few blocks that the allocator
 * sampled. So the rows of stacks take their estimates out of the rows of size classes: what stays there is what no stack is
 * known for. Where the estimates are more than all that is in use, what they add to the blocks that were sampled is made smaller in
 * proportion. The sum stays exact.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_SPREAD_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_SPREAD_H

#include "attach/heap/baseline/baseline_account.h"

struct cprof_baseline_sampled {
	uint64_t addr, bytes; /* the block, as cprof_baseline_account_block() was given it */
	uint32_t stack;       /* of account->stacks */
	uint64_t born;        /* when it was allocated, by any clock */
	uint64_t age;         /* as in struct cprof_baseline_stack_class */
	double weight;        /* how many blocks it stands for */
};

/*
 * Of the blocks of `row` this one was sampled. Where `account->before` is set it counts if it is there with the same birth. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_baseline_account_sampled(struct cprof_baseline_account *account,
						   uint32_t row,
						   const struct cprof_baseline_sampled *sampled);

/*
 * The same of an allocator whose blocks are known by samples only: what they stand for is what it holds. `addr` is what tells the
 * block from others that live. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_baseline_account_estimated(struct cprof_baseline_account *account,
						     uint32_t row,
						     const struct cprof_baseline_sampled *sampled);

/*
 * The weight of a block of `bytes` in a sample of allocations by bytes, one in `period_bytes` on the mean, exponential:
 * one over the probability that it was taken.
 */
double cprof_baseline_weight(uint64_t bytes, double period_bytes);

/*
 * The number of the age (as in struct cprof_baseline_stack_class) of a block that was allocated at `born_ns` by CLOCK_MONOTONIC or
 * CLOCK_REALTIME; 0: by neither.
 */
uint64_t cprof_baseline_age(uint64_t born_ns);

/* When all is read and settled: how many of each row are without a stack, and the stacks' values as whole numbers. */
void cprof_baseline_account_spread(struct cprof_baseline_account *account);

#endif
