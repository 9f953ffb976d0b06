/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_edges.h - the waits that reach over an end of the window: into it from before, or out of it.
 *
 * No event tells that a thread had been asleep already when events began, and none tells of a deadlock or an idle
 * pool when they end. A wait that began before the window counts from its start, one that is not over counts up to its
 * end. Each thread that sleeps then is read once from /proc (wait_sleeper.h), without stopping it; its registers come from
 * the kernel's task iterator where that is permitted (thread_iter.h), else from /proc too, which knows only pc and sp.
 * The file in /proc that names the call has mode 0400: where it is refused the iterator tells the call as well, and where that is
 * not permitted either the threads that could not be looked at are counted in a warning.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_EDGES_H
#define CPROF_ATTACH_WAITS_WAIT_EDGES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/waits/wait_intake.h"
#include "attach/waits/wait_tier.h"

/*
 * Show `fn` every thread that sleeps in a call in scope at this moment, right after the tier's events are in place: in a futex call, or
 * in any where all are asked for. It may be awake again when `fn` hears of it: `still` asks once more.
 */
struct cprof_wait_edges_sleeper {
	pid_t tid;
	uint64_t now_ns;
	int32_t nr;    /* the call */
	uint64_t addr; /* its first three arguments */
	uint32_t op, val;
	uint64_t switches; /* context switches where the iterator told of it; 0: /proc did */
};
typedef void cprof_wait_edges_fn(void *ctx, const struct cprof_wait_edges_sleeper *sleeper);
void cprof_wait_edges_before(struct cprof_wait_intake *intake, cprof_wait_edges_fn *fn, void *ctx);
bool cprof_wait_edges_still(const struct cprof_wait_intake *intake,
			    const struct cprof_wait_edges_sleeper *sleeper);

/* Take every open wait in scope; its time runs from where `tier` saw it begin, else from the window's start. */
struct cprof_error *cprof_wait_edges_take(struct cprof_wait_intake *intake,
					  const struct cprof_wait_tier *tier, void *state);

#endif
