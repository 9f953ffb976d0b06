/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_observer.h - the states of all threads at this moment, with registers where the kernel gives them away:
 * by the BPF task iterator, or from /proc.
 *
 * Owns these two ways and what a row of either means. Stacks, and threads whose registers are to be had only by
 * sampling or stopping them, are thread_capture.h's.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_OBSERVER_H
#define CPROF_ATTACH_THREADS_THREAD_OBSERVER_H

#include <stdbool.h>

#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "attach/threads/thread.h"
#include "attach/threads/thread_iter.h"
#include "cprof/error.h"

struct cprof_thread_observer {
	struct cprof_target *target;    /* borrowed */
	struct cprof_thread_iter *iter; /* owned; NULL: not to be had, /proc it is */
	uint64_t tick_ns;
	int task_fd;      /* /proc/PID/task */
	size_t n_refused; /* threads whose `syscall` was kept from us, in the last look */
};

/* Who may tell of the threads. */
enum cprof_thread_observer_by { CPROF_OBSERVER_ANY, CPROF_OBSERVER_ITER, CPROF_OBSERVER_PROC };

/*
 * `cache_dir` as in thread_iter.h. With ANY it is the iterator, else /proc, and why the iterator is not to be had is noted (-v). Errors: NO_TARGET, OS;
 * with ITER also DENIED and UNSUPPORTED.
 */
struct cprof_error *cprof_thread_observer_open(struct cprof_target *target,
					       enum cprof_thread_observer_by by,
					       const char *cache_dir, struct cprof_run_log *log,
					       struct cprof_thread_observer *ret_observer);
void cprof_thread_observer_close(struct cprof_thread_observer *observer);

/*
 * Add a row for each thread to the empty `snapshot`, by tid, without stacks; means is ITER or PROC where the registers are
 * known. Does not stop anybody. Errors: NO_TARGET, OS, NO_MEMORY.
 */
struct cprof_error *cprof_thread_observer_take(struct cprof_thread_observer *observer,
					       struct cprof_thread_snapshot *snapshot);

/* One thread by /proc; a thread that is gone has state 'X'. What is refused is counted in `observer`. */
void cprof_thread_observer_fill(struct cprof_thread_observer *observer, pid_t tid,
				struct cprof_thread *thread);

/* By /proc: still in the same call, and not run since. Two files instead of three. */
bool cprof_thread_observer_keeps_still(const struct cprof_thread_observer *observer,
				       const struct cprof_thread *thread);

/* /proc/PID/task/TID/NAME with a zero byte behind; false if it is gone or empty. */
bool cprof_thread_observer_read(const struct cprof_thread_observer *observer, pid_t tid,
				const char *name, char *buf, size_t cap);

/* False of threads that have ended. */
bool cprof_thread_observer_has_stack(char state);

#endif
