/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/alloc/pool_find.h - where a user's own allocators (-heap-hook) are in a process.
 *
 * Names are looked up in the symbol tables of all objects, static functions included; addresses are checked. What the
 * text means is pool_spec.h's. Reads the target, does not stop it.
 */
#ifndef CPROF_ATTACH_HEAP_ALLOC_POOL_FIND_H
#define CPROF_ATTACH_HEAP_ALLOC_POOL_FIND_H

#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/alloc/pool_spec.h"

/*
 * Add the functions of each of `specs` to `entries`. Errors: USAGE (no such function, with the names nearest to it;
 * several, with where they are; an address where no function begins), NO_MEMORY.
 */
struct cprof_error *cprof_pool_find(const struct cprof_pool_specs *specs, struct cprof_maps *maps,
				    struct cprof_modules *modules,
				    struct cprof_alloc_entries *entries);

/*
 * Is `addr` in one of the user's functions that allocate? Whoever allocates below one of these does so for it: that
 * call is counted already, wherever in between it was made.
 */
bool cprof_pool_find_inside(const struct cprof_alloc_entries *entries, uint64_t addr);

#endif
