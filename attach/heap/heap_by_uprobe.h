/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_by_uprobe.h - which of a process's allocator functions are watched by uprobes, and why.
 *
 * Owns the choice and the uprobes (heap_uprobe.h), which are opened when the first function wants one.
 *
 * One object's functions are all watched by the same means, because a block that one means saw to be allocated must
 * not be freed past it. So an object that cannot be patched as a whole is left to uprobes as a whole.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_BY_UPROBE_H
#define CPROF_ATTACH_HEAP_HEAP_BY_UPROBE_H

#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/usdt_find.h"
#include "attach/heap/inject/heap_hook.h"
#include "attach/heap/inject/heap_pages.h"
#include "attach/heap/uprobe/heap_uprobe.h"
#include "attach/run/run_log.h"
#include "cprof/error.h"

struct cprof_heap_by_uprobe {
	struct cprof_heap_hooks *hooks; /* borrowed */
	struct cprof_run_log *log;      /* borrowed */
	uint64_t period;                /* for opening them: */
	struct cprof_heap_sizes sizes;
	size_t way;
	struct cprof_heap_uprobe *uprobe; /* owned; NULL: no function is watched by uprobes */
	char *none_why;                   /* owned; why there are none where some were wanted */
};

void cprof_heap_by_uprobe_init(struct cprof_heap_by_uprobe *by, struct cprof_heap_hooks *hooks,
			       struct cprof_run_log *log, uint64_t period,
			       const struct cprof_heap_sizes *sizes, size_t way);
/* Takes the probes out. */
void cprof_heap_by_uprobe_deinit(struct cprof_heap_by_uprobe *by);

/* Take the probes out, but keep what is known. */
void cprof_heap_by_uprobe_close(struct cprof_heap_by_uprobe *by);

/*
 * Watch every function from number `from` on; those that cannot be are refused. Errors: DENIED, UNSUPPORTED (there can be no
 * uprobes), NO_MEMORY.
 */
struct cprof_error *cprof_heap_by_uprobe_all(struct cprof_heap_by_uprobe *by, size_t from);

/*
 * Watch the objects in which some function from number `from` on was refused a jump, none of which is in place yet.
 * Where that cannot be, the other functions keep theirs, and by->none_why says why. `pages` are those of the jumps.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_by_uprobe_objects(struct cprof_heap_by_uprobe *by, size_t from,
						 const struct cprof_heap_pages *pages);

/*
 * Watch the probes that the program has itself, instead of any function. `*ret_watched`: at how many places where it samples; where that is 0,
 * or on error, none is. `why` says why, as much as fits. Errors: DENIED, UNSUPPORTED (there can be no uprobes), NO_MEMORY.
 */
struct cprof_error *cprof_heap_by_uprobe_sites(struct cprof_heap_by_uprobe *by,
					       const struct cprof_usdt_sites *sites,
					       size_t *ret_watched, char *why, size_t n_why);

#endif
