/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/lock_graph.h - who waits for whom, and the cycles in it.
 *
 * A thread waits for at most one other (the owner of the lock), so the graph has at most one edge out of each node
 * and a cycle is found by following edges: no search, no recursion, time and memory linear in the threads.
 *
 * Pure: numbers in, cycles out. The edges come from what each thread waits for (lock_wait.h); whoever draws them has to
 * see whether a cycle still stands a moment later, since threads are not read all at once.
 */
#ifndef CPROF_ATTACH_LOCKS_LOCK_GRAPH_H
#define CPROF_ATTACH_LOCKS_LOCK_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

#define CPROF_LOCK_GRAPH_NONE SIZE_MAX

struct cprof_lock_cycle {
	size_t *nodes; /* owned; nodes[i] waits for nodes[i + 1], the last for the first; smallest first */
	size_t n;
};

struct cprof_lock_cycles {
	struct cprof_lock_cycle *cycles; /* owned; by their first node */
	size_t n, cap;
};

void cprof_lock_cycles_deinit(struct cprof_lock_cycles *cycles);

/*
 * All cycles of the graph in which node i waits for waits_for[i] (NONE, or out of range: for nobody). A node
 * that waits for itself is a cycle of one. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_lock_graph_cycles(const size_t *waits_for, size_t n,
					    struct cprof_lock_cycles *ret_cycles);

/*
 * For each node how many nodes wait for it, directly or through others; nodes of a cycle count those outside it.
 * `ret_waiters` has room for n.
 */
struct cprof_error *cprof_lock_graph_waiters(const size_t *waits_for, size_t n,
					     size_t *ret_waiters);

#endif
