/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/usdt_find.h - the probes otel_memory:alloc and otel_memory:free in a process's objects.
 *
 * An allocator that samples itself has them (OpenTelemetry eBPF profiler, design document "memory profiling", "USDT contract"): alloc(ptr,
 * size, weighted_bytes) for each block that it samples, where weighted_bytes is what the sample stands for, and free(ptr) for those
 * blocks. Reads files only.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_USDT_FIND_H
#define CPROF_ATTACH_HEAP_ALLOC_USDT_FIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/usdt_args.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

struct cprof_usdt_site {
	struct cprof_map *map; /* borrowed */
	uint64_t addr;         /* run-time */
	uint64_t
		semaphore; /* offset in the file of the counter that switches it on; 0: it is always on */
	bool frees;
	struct cprof_usdt_operand args[CPROF_USDT_ARGS];
	const char *why_not; /* why it cannot be used; static; NULL: it can */
};

struct cprof_usdt_sites {
	struct cprof_usdt_site all[CPROF_USDT_SITES_MAX];
	size_t n;
	size_t too_many; /* for which there was no room */
};

/* `maps` must be fresh. Finding none is no error. Errors: NO_MEMORY. */
struct cprof_error *cprof_usdt_find(const struct cprof_maps *maps, struct cprof_modules *modules,
				    struct cprof_usdt_sites *ret_sites);

#endif
