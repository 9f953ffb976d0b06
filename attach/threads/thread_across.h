/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_across.h - threads of several processes that wait for each other, over locks in shared memory.
 *
 * What thread_view.h finds in one process alone, for all that a run looks at: the same edges, and those that lead from one
 * process to another. A cycle counts only if a second look, after all snapshots were taken, finds nobody of it moved and
 * every lock with the owner it had.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_ACROSS_H
#define CPROF_ATTACH_THREADS_THREAD_ACROSS_H

#include "attach/threads/thread_view.h"
#include "cprof/buffer.h"

/* A thread of a view's present snapshot. */
struct cprof_thread_at {
	size_t view, thread; /* indexes */
};

struct cprof_thread_across {
	struct cprof_thread_cycle_across {
		struct cprof_thread_at
			*at; /* owned; each waits for the next, the last for the first */
		size_t n;
		size_t number; /* as in thread.cycle: after all cycles within one process */
	} * cycles;            /* owned */
	size_t n, cap;
};

/* A zeroed struct is an empty one. */
void cprof_thread_across_deinit(struct cprof_thread_across *across);

/*
 * Find the cycles through more than one of the `n` views that have a fresh snapshot, set `cycle` of their threads, and
 * count for every thread who waits for it through other processes too. Errors: NO_MEMORY, as of a snapshot of states.
 */
struct cprof_error *cprof_thread_across_find(struct cprof_thread_view *views, size_t n,
					     struct cprof_thread_across *ret);

/* A line for each cycle and each thread of it. */
void cprof_thread_across_tell(const struct cprof_thread_across *across,
			      const struct cprof_thread_view *views, struct cprof_buffer *out);

/* The same with the stacks of the threads. */
struct cprof_error *cprof_thread_across_write(const struct cprof_thread_across *across,
					      struct cprof_thread_view *views,
					      struct cprof_buffer *out);

#endif
