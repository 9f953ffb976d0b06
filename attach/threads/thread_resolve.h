/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_resolve.h - what a captured snapshot means: stacks walked, waits named, owners found, cycles.
 *
 * After the capture, while nobody waits. Everything here reads the target's memory at most (lock words, outer
 * stack pages, code) and stops nobody.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_RESOLVE_H
#define CPROF_ATTACH_THREADS_THREAD_RESOLVE_H

#include "attach/locks/lock_graph.h"
#include "attach/locks/lock_wait.h"
#include "attach/run/session.h"
#include "attach/threads/thread.h"
#include "attach/threads/thread_names.h"
#include "cprof/hash.h"

struct cprof_thread_resolver {
	struct cprof_session *session;    /* borrowed */
	struct cprof_process *process;    /* borrowed */
	struct cprof_thread_names *names; /* borrowed */
	struct cprof_memory memory;       /* of the process, or the core file */
	bool live; /* outer frames may be read from the process: false for a core file */

	/* The target's own thread ids, where they differ from ours (it is in a pid namespace of its own). */
	struct cprof_thread_ns_tid {
		pid_t ns_tid, tid;
	} * ns_tids; /* owned; by ns_tid; NULL: they are the same */
	size_t n_ns_tids;
	const struct cprof_thread_snapshot *snapshot; /* the one being resolved */

	/* Owners of shared locks in other processes, as they were found for this snapshot: many may wait for one. */
	struct cprof_thread_foreign {
		enum cprof_foreign found;
		struct cprof_shared_page_thread thread;
	} * foreign; /* owned */
	size_t n_foreign, cap_foreign;
	struct cprof_map64 foreign_by_lock; /* hash of address and owner -> index */
};

/* Read the ids of a target in another pid namespace; nothing to do for others. Errors: NO_MEMORY. */
struct cprof_error *cprof_thread_resolver_ids(struct cprof_thread_resolver *resolver,
					      const struct cprof_thread_snapshot *snapshot);
void cprof_thread_resolver_deinit(struct cprof_thread_resolver *resolver);

/* Frames, waits, owners and numbers of waiters of all threads. Errors: NO_MEMORY. */
struct cprof_error *cprof_thread_resolve(struct cprof_thread_resolver *resolver,
					 struct cprof_thread_snapshot *snapshot);

/*
 * Thread `at` of the snapshot still waits, in `later`, for the same lock with the same owner, and has not run since. Reads the
 * lock anew; what is known of other processes is from after the last cprof_thread_resolver_forget().
 */
bool cprof_thread_resolve_still(struct cprof_thread_resolver *resolver,
				const struct cprof_thread_snapshot *snapshot, size_t at,
				const struct cprof_thread_snapshot *later);
void cprof_thread_resolver_forget(struct cprof_thread_resolver *resolver);

/*
 * Cycles of threads each waiting for the next without a timeout: candidates, since the threads were not looked at in
 * one and the same moment. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_thread_resolve_cycles(const struct cprof_thread_snapshot *snapshot,
						struct cprof_lock_cycles *ret_cycles);

/*
 * Number those of `cycles` that still stand in `later`, states of a moment afterwards: no thread of them has run in
 * between, and every lock still has the owner it had. What has held still for a while, with every
 * thread of it waiting for another one of it, can never move again. With `later` NULL (a core file) all are numbered.
 */
void cprof_thread_resolve_confirm(struct cprof_thread_resolver *resolver,
				  struct cprof_thread_snapshot *snapshot,
				  const struct cprof_thread_snapshot *later,
				  const struct cprof_lock_cycles *cycles);

#endif
