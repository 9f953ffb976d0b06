/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/tcmalloc_caches.h - the blocks that gperftools' tcmalloc keeps at hand: in use for its spans, but free.
 *
 * They are in lists of each thread's cache, one a class, and as chains in the slots of the central lists. A thread's cache has the sizes
 * of all classes in order; so the first one is found by a pointer among tcmalloc's variables, and the others by the pointers behind
 * its lists.
 *
 * Source of truth: gperftools 2.10, src/thread_cache.h, src/central_freelist.h. All that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_TCMALLOC_CACHES_H
#define CPROF_ATTACH_HEAP_BASELINE_TCMALLOC_CACHES_H

#include "attach/heap/baseline/tcmalloc_spans.h"

typedef struct cprof_error *cprof_tcmalloc_cached_fn(void *ctx, uint64_t addr, unsigned class);

/*
 * All blocks that are in caches, at most 16 Mi; *ret_caches: of how many threads. Errors: NO_MEMORY, and `fn`'s, which end
 * it.
 */
struct cprof_error *cprof_tcmalloc_caches_each(struct cprof_baseline_memory *memory,
					       const struct cprof_tcmalloc *tcmalloc,
					       cprof_tcmalloc_cached_fn *fn, void *ctx,
					       unsigned *ret_caches);

#endif
