/*
 * attach/heap/inject/heap_plan.h - everything about an attach that can be settled while the target runs.
 *
 * Owns the choice of addresses, which stub serves which entry, the relocated instructions and the content of the
 * code mappings. Reads the target's memory; changes nothing in it. For heap_install.c and heap_repair.c.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_PLAN_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_PLAN_H

#include "attach/heap/inject/heap_install.h"

/* Bytes of a code mapping: the blob, in whole pages. */
uint64_t cprof_heap_plan_image_bytes(void);

/*
 * Fill entries, gadgets, images, hooks of `install`. Errors as cprof_heap_attach(). Hooks that cannot be patched have
 * their reason in `refused`; at least one function that allocates is left.
 */
struct cprof_error *cprof_heap_plan(struct cprof_heap_install *install,
				    const struct cprof_heap_install_options *options);

/* The first part of it: which functions there are, as hooks that are not in place. */
struct cprof_error *cprof_heap_plan_entries(struct cprof_heap_install *install,
					    const struct cprof_pool_specs *pools);

/*
 * The same for objects that were mapped since, after an attach: appends hooks from install->n_done on, with stubs of the
 * code mappings there are, and enters them in the copies of these. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_plan_more(struct cprof_heap_install *install);

/* And its first part alone. */
struct cprof_error *cprof_heap_plan_more_entries(struct cprof_heap_install *install);

/* This hook is not to be patched, because of `why` (copied). */
void cprof_heap_plan_refuse(struct cprof_heap_hook *hook, const char *why);

/* The patch row of a hook, as the code page carries it. */
struct cprof_shim_patch cprof_heap_plan_row(const struct cprof_heap_hook *hook);

#endif
