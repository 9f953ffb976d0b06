/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_extent.h - where functions end that were named by their address and that nothing describes.
 *
 * A call that comes from within an allocator's function is the allocator's own; so it has to be known how far that reaches. It
 * is as far as its code can be followed.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_EXTENT_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_EXTENT_H

#include "attach/heap/alloc/alloc_find.h"
#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"

/* Gives such entries an end, and their ranges too. Reads files. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_extent_find(struct cprof_alloc_entries *entries,
					   const struct cprof_maps *maps,
					   struct cprof_modules *modules);

#endif
