/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/heap_sample.h - one sampled allocation, as it is handed to whoever makes a profile of them.
 *
 * The form is the shim's cell (shim_proto.h), whatever saw the allocation: the injected code or a uprobe. What follows
 * need not know which it was.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_HEAP_SAMPLE_H
#define CPROF_ATTACH_HEAP_ALLOC_HEAP_SAMPLE_H

#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"
#include "cprof/error.h"

/*
 * cell->image where a uprobe saw it: then cell->entry is the number that was given to cprof_heap_uprobe_add(). Else they
 * are the numbers of a code mapping and of a stub in it.
 */
#define CPROF_HEAP_SAMPLE_BY_UPROBE UINT32_MAX

/*
 * In cell->period: the other bits are the bytes that the sample stands for, which the allocator says that took it (usdt_find.h). Then
 * cell->ret is where the thread was, in the middle of that allocator, and cell->entry no function's number.
 */
#define CPROF_HEAP_SAMPLE_WEIGHED (1ull << 63)

/* One sample; `stack` holds cprof_shim_copied(cell) bytes: the stack from cell->sp on, and more of another. Both are valid during the call only. */
typedef struct cprof_error *cprof_heap_sample_fn(void *ctx, const struct cprof_shim_cell *cell,
						 const uint8_t *stack);

#endif
