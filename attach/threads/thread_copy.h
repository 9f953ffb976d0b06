/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_copy.h - the stacks of threads that sleep, copied while nobody holds them.
 *
 * A thread that sleeps keeps its stack: it is copied with process_vm_readv(2), and then it is made sure that the thread
 * has not run meanwhile. One that has is read again, a few times.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_COPY_H
#define CPROF_ATTACH_THREADS_THREAD_COPY_H

#include <stddef.h>

#include "attach/threads/thread.h"
#include "attach/threads/thread_observer.h"
#include "cprof/error.h"

/*
 * Fill in the stacks of the threads of `snapshot` whose registers are known, at most `stack_bytes` of each; 0: leave the
 * memory alone. One that does not keep still has no registers afterwards: it is as good as running. Errors: OS, NO_MEMORY.
 */
struct cprof_error *cprof_thread_copy_stacks(struct cprof_thread_observer *observer,
					     size_t stack_bytes,
					     struct cprof_thread_snapshot *snapshot);

/* The same for those that ran when `snapshot` was taken and have fallen asleep since. */
struct cprof_error *cprof_thread_copy_newly_asleep(struct cprof_thread_observer *observer,
						   size_t stack_bytes,
						   struct cprof_thread_snapshot *snapshot);

#endif
