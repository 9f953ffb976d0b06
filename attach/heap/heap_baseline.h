/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_baseline.h - how much memory a process's allocators hold, without asking them: for what was allocated
 * before the attach (-heap-baseline).
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_BASELINE_H
#define CPROF_ATTACH_HEAP_HEAP_BASELINE_H

#include <stdint.h>

#include "attach/heap/resident/resident.h"
#include "attach/heap/resident/smaps.h"
#include "attach/target/target.h"
#include "cprof/error.h"

/*
 * Bytes of private writable memory without a file that are resident or swapped out: heaps and what allocators
 * map. `smaps` is as of now; stacks of threads are left out. Does not stop the target. Errors: NO_TARGET, DENIED, OS, BAD_DATA, NO_MEMORY.
 */
struct cprof_error *cprof_heap_baseline(const struct cprof_target *target,
					const struct cprof_smaps *smaps, uint64_t *ret_bytes);

/* The same from the claims of stacks (stack_claims.h), which are settled here. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_baseline_of(const struct cprof_smaps *smaps,
					   struct cprof_resident *stacks, uint64_t *ret_bytes);

#endif
