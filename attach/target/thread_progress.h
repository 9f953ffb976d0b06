/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/thread_progress.h - have threads that were stopped had a processor since they were let go?
 *
 * Who is met at a bad place is met there again until it has run, which on a busy machine takes longer than any pause that is chosen
 * beforehand; and to stop it before that is in vain. Nothing is stopped by this.
 *
 * Source of truth: Documentation/scheduler/sched-stats.rst "/proc/<pid>/schedstat", proc_pid_stat(5) "state".
 */
#ifndef CPROF_ATTACH_TARGET_THREAD_PROGRESS_H
#define CPROF_ATTACH_TARGET_THREAD_PROGRESS_H

#include <stdint.h>
#include <sys/types.h>

#include "attach/target/ptrace.h"

#define CPROF_THREAD_PROGRESS_MAX 64 /* threads; of more, some have always run */

struct cprof_thread_progress {
	pid_t pid;
	size_t n;
	struct {
		pid_t tid;
		uint64_t ran_ns;
	} threads[CPROF_THREAD_PROGRESS_MAX];
};

/* Of the threads that were met in their own code, not in a system call. To be asked for while they stand still. */
void cprof_thread_progress_begin(struct cprof_thread_progress *progress,
				 const struct cprof_ptrace *trace);

/* The same of threads by their ids: `n` of them, of which the first CPROF_THREAD_PROGRESS_MAX count. */
void cprof_thread_progress_begin_of(struct cprof_thread_progress *progress, pid_t pid,
				    const pid_t *tids, size_t n);

/*
 * Wait until each of them has run a little, sleeps, or is gone; where the kernel does not tell, not at all. `until_ns`: of
 * CLOCK_MONOTONIC, no longer than that.
 */
void cprof_thread_progress_await(const struct cprof_thread_progress *progress, uint64_t until_ns);

#endif
