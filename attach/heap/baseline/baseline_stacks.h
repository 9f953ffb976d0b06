/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_stacks.h - blocks of which an allocator has noted itself who allocated them: no process, no allocator.
 *
 * Allocators that sample (jemalloc with prof:true, tcmalloc) keep the stack of one block in many. A row is a kind of such blocks:
 * allocator and size, stack, age; its values are estimates for all blocks of that kind, not for the sampled ones alone.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_STACKS_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_STACKS_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/intern.h"

#define CPROF_BASELINE_DEPTH   256        /* frames of a stack that are kept */
#define CPROF_BASELINE_SAMPLED (4u << 20) /* blocks with a stack, of one process */

struct cprof_baseline_stack_class {
	uint32_t row;   /* of the account: allocator and size */
	uint32_t stack; /* what cprof_baseline_stacks_number() said */
	uint64_t age;   /* number of its age (convert/profile/heap_age.h) + 1; 0: not known */
};

struct cprof_baseline_stack_row {
	struct cprof_baseline_stack_class class;
	uint64_t sampled, sampled_bytes;     /* blocks */
	double objects, bytes;               /* for which they stand, themselves among them */
	uint64_t whole_objects, whole_bytes; /* cprof_baseline_account_spread() sets them */
};

struct cprof_baseline_stacks {
	struct cprof_intern addrs;             /* of a stack: its addresses, as bytes */
	struct cprof_intern classes;           /* of a row: its class, as bytes */
	struct cprof_baseline_stack_row *rows; /* owned; row i is class i + 1 */
	uint32_t n_rows, cap_rows;
	struct cprof_map64
		born; /* address of a sampled block -> when it was allocated, as the allocator has it */
};

/* Errors here and below: NO_MEMORY. */
struct cprof_error *cprof_baseline_stacks_init(struct cprof_baseline_stacks *stacks);
void cprof_baseline_stacks_deinit(struct cprof_baseline_stacks *stacks);

/* The number of this stack: addresses, innermost first; of more than CPROF_BASELINE_DEPTH the innermost ones. */
struct cprof_error *cprof_baseline_stacks_number(struct cprof_baseline_stacks *stacks,
						 const uint64_t *addrs, size_t n,
						 uint32_t *ret_stack);

/* Its addresses into `addrs`, which has room for CPROF_BASELINE_DEPTH; how many. */
size_t cprof_baseline_stacks_get(const struct cprof_baseline_stacks *stacks, uint32_t stack,
				 uint64_t *addrs);

/* One more sampled block of this kind, of `bytes`, which stands for `weight` such blocks (1 and more). */
struct cprof_error *cprof_baseline_stacks_add(struct cprof_baseline_stacks *stacks,
					      const struct cprof_baseline_stack_class *class,
					      uint64_t bytes, double weight);

#endif
