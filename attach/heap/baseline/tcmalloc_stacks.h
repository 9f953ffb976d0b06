/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/tcmalloc_stacks.h - stacks that gperftools' tcmalloc has kept: where the heap grew, and of sampled blocks.
 *
 * Each time it takes memory from the kernel it notes the stack, in a list that begins among its variables. With a sampling rate
 * (TCMALLOC_SAMPLE_PARAMETER) a sampled block has a span of its own, which leads to such a stack. libtcmalloc_minimal walks no stacks and
 * keeps none.
 *
 * Source of truth: gperftools 2.10, src/common.h (StackTrace), src/page_heap.cc (RecordGrowth), src/span.h. All that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_TCMALLOC_STACKS_H
#define CPROF_ATTACH_HEAP_BASELINE_TCMALLOC_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/tcmalloc_spans.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

#define CPROF_TCMALLOC_DEPTH 30 /* the 31st place leads to the next one */

struct cprof_tcmalloc_stack { /* as it is in memory */
	uint64_t bytes, n, addrs[CPROF_TCMALLOC_DEPTH], next;
};

/* The stack at `at`; false: there is none. */
bool cprof_tcmalloc_stack_read(struct cprof_baseline_memory *memory, struct cprof_maps *maps,
			       uint64_t at, struct cprof_tcmalloc_stack *ret_stack);

/* Each growth of the heap, at most a million; none is no error. An error of `fn` ends it. */
typedef struct cprof_error *cprof_tcmalloc_growth_fn(void *ctx,
						     const struct cprof_tcmalloc_stack *stack);
struct cprof_error *cprof_tcmalloc_growth_each(struct cprof_baseline_memory *memory,
					       struct cprof_maps *maps,
					       const struct cprof_tcmalloc *tcmalloc,
					       cprof_tcmalloc_growth_fn *fn, void *ctx);

/*
 * Mean number of bytes between two samples, by the symbol of the variable; 0: none are taken, or it has no symbol. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_tcmalloc_rate(struct cprof_baseline_memory *memory,
					struct cprof_maps *maps, struct cprof_modules *modules,
					uint64_t *ret_bytes);

#endif
