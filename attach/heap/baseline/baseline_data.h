/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_data.h - where the variables of a process's modules are: for who finds them by their form.
 *
 * An allocator inside of a stripped program or library has no names, but its variables lie in a writable segment.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_DATA_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_DATA_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

/* Asked of each writable segment [start, end) at its run-time address; true: it was this one, and no other is wanted. */
typedef bool cprof_baseline_data_fn(void *ctx, uint64_t start, uint64_t end);

/*
 * Each writable segment of at least `least_bytes` of the files in `maps`, until one is wanted: *ret_found. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_baseline_each_data(struct cprof_maps *maps, struct cprof_modules *modules,
					     uint64_t least_bytes, cprof_baseline_data_fn *fn,
					     void *ctx, bool *ret_found);

/* Does a return address lead into code that the process has mapped from anywhere? */
bool cprof_baseline_is_code(struct cprof_maps *maps, uint64_t return_addr);

#endif
