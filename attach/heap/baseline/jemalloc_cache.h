/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/jemalloc_cache.h - jemalloc 5's own memory, and the blocks that its threads keep at hand.
 *
 * Descriptors of extents lie in blocks of metadata, each with a head that names the next one of its arena; so
 * descriptors lead to all
 * metadata. In there each arena keeps the ring of its threads' caches, which is found by its form. In 5.3 a cache's slow
 * half names an array of bins, and the word in front of that array is the address of the slow half again. Before, a descriptor
 * in each cache names the bins of small blocks before it and those of large ones behind it. A bin is a stack of pointers to
 * blocks that the program has freed.
 *
 * Source of truth: jemalloc 5.1.0, 5.2.1 and 5.3.0, include/jemalloc/internal/base_structs.h,
 * include/jemalloc/internal/tcache_structs.h, include/jemalloc/internal/cache_bin.h,
 * include/jemalloc/internal/arena_structs.h.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_CACHE_H
#define CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/jemalloc_form.h"
#include "cprof/error.h"

struct cprof_jemalloc_metadata {
	struct cprof_jemalloc_block {
		uint64_t start, end;
	} * all; /* owned; by start */
	uint32_t n, cap;
	uint64_t
		last; /* where the last descriptor was, in units of 2 MiB: the next one is there mostly */
};

/* A zeroed struct knows nothing. */
void cprof_jemalloc_metadata_deinit(struct cprof_jemalloc_metadata *metadata);

/* There is a descriptor at `addr`: the block around it is known then, and those that its head leads to. Errors: NO_MEMORY. */
struct cprof_error *cprof_jemalloc_metadata_note(struct cprof_jemalloc_metadata *metadata,
						 struct cprof_baseline_memory *memory,
						 uint64_t addr);

struct cprof_jemalloc_cache_fns {
	/* A block of a size class that is in a thread's cache. */
	void (*cached)(void *ctx, uint64_t addr, unsigned class);
	/* Somewhere in a block that a cache itself needs. */
	void (*own)(void *ctx, uint64_t addr);
	/* Is it where an extent begins? Most words of the metadata are, and no cache is there. NULL: nobody knows. */
	bool (*known)(void *ctx, uint64_t addr);
};

/* All caches that lead out of the metadata; at most 65,536 of them, and 16 Mi blocks in them. Errors: NO_MEMORY. */
struct cprof_error *cprof_jemalloc_caches(struct cprof_baseline_memory *memory,
					  const struct cprof_jemalloc_form *form,
					  const struct cprof_jemalloc_metadata *metadata,
					  const struct cprof_jemalloc_cache_fns *fns, void *ctx);

#endif
