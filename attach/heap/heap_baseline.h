/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_baseline.h - how much memory a process's allocators hold, without asking them: for what was allocated
 * before the attach (-heap-baseline).
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_BASELINE_H
#define CPROF_ATTACH_HEAP_HEAP_BASELINE_H

#include <stdint.h>
#include <sys/types.h>

#include "cprof/error.h"

/*
 * Bytes of private writable memory without a file that are resident or swapped out: heaps and what allocators
 * map. From /proc/PID/smaps; stacks that are named there are left out. Errors: NO_TARGET, DENIED, OS.
 */
struct cprof_error *cprof_heap_baseline(pid_t pid, uint64_t *ret_bytes);

/* The same from the text of that file. */
uint64_t cprof_heap_baseline_of(const char *smaps);

#endif
