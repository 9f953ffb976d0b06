/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/ring/longest_wait.h - how long the thread has waited by now that has waited longest for a lock or a disk.
 *
 * A look is one file of /proc for each thread. Two looks that find a thread in the same call with the same stack pointer, and not
 * put on a processor in between, have seen one wait; it counts from the first of them. Waits for work (a condition variable, epoll,
 * sleep) do not count, whoever waits so is idle. Which wait is which is told by numbers alone (attach/locks/wait_kind.h): nobody's
 * names are looked up.
 */
#ifndef CPROF_ATTACH_RING_LONGEST_WAIT_H
#define CPROF_ATTACH_RING_LONGEST_WAIT_H

#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "attach/target/thread_proc.h"
#include "cprof/error.h"

struct cprof_longest_wait {
	struct cprof_longest_wait_thread {
		pid_t tid;
		struct cprof_thread_call call;
		uint64_t runs; /* times that it was put on a processor; 0: not known */
		uint64_t since_mono_ns;
	} * threads; /* owned; of the last look, ascending */
	size_t n, cap;
};

/* Of a zeroed struct, or one of looks before. Errors: DENIED where no thread may be looked at, NO_TARGET, NO_MEMORY. */
struct cprof_error *cprof_longest_wait_look(struct cprof_longest_wait *waits, pid_t pid,
					    uint64_t now_ns, uint64_t *ret_ns);
void cprof_longest_wait_deinit(struct cprof_longest_wait *waits);

#endif
