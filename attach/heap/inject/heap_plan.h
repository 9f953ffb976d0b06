/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_plan.h - everything about the jumps that can be settled while the target runs.
 *
 * Owns the choice of addresses, which stub serves which function, the relocated instructions and the content of the
 * code mappings. Reads the target's memory; changes nothing in it. In two steps, so that whoever plans can have some of the
 * hooks watched in another way in between.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_PLAN_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/heap_sizes.h"
#include "attach/heap/inject/heap_hook.h"
#include "attach/heap/inject/heap_pages.h"
#include "cprof/error.h"

/*
 * Choose the places of `pages`, and for each hook that is PLANNED a stub and the jump to it; those that cannot have one
 * are refused. `period` is the mean of bytes between two samples, `sizes` which calls are counted. Errors: UNSUPPORTED (no room), NO_MEMORY.
 */
struct cprof_error *cprof_heap_plan(struct cprof_heap_hooks *hooks, struct cprof_heap_pages *pages,
				    uint64_t period, const struct cprof_heap_sizes *sizes);

/* Then: what the code mappings are to hold, for the hooks that are PLANNED still. */
void cprof_heap_plan_enter(const struct cprof_heap_hooks *hooks, struct cprof_heap_pages *pages);

/* The same two steps after the attach, for the hooks from number `from` on and in the places there are. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_plan_more(struct cprof_heap_hooks *hooks,
					 const struct cprof_heap_pages *pages, size_t from);
void cprof_heap_plan_enter_more(const struct cprof_heap_hooks *hooks,
				struct cprof_heap_pages *pages, size_t from);

#endif
