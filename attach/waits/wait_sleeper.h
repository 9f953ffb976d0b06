/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_sleeper.h - the stack of a thread that sleeps and goes on whenever it likes, known from /proc.
 *
 * Nobody holds the thread for us. Its stack is copied at once, and the copy is believed only if the thread has not
 * been put on a CPU from before its call was read until after the copy: read word by word while it goes on, the inner
 * half would be of one wait and the outer half of what the thread did next. The copy is walked at leisure. Of the
 * registers /proc tells pc and sp; the frame pointer is searched for where the walk needs it (thread_fp.h).
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_SLEEPER_H
#define CPROF_ATTACH_WAITS_WAIT_SLEEPER_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/locks/wait.h"
#include "attach/target/thread_proc.h"
#include "attach/threads/thread_names.h"
#include "attach/waits/wait_intake.h"

/* One thread: what it slept in when it was last read, and how often it had been put on a CPU just before. */
struct cprof_wait_sleeper {
	pid_t tid;
	int syscall_fd,
		schedstat_fd; /* of /proc/PID/task/TID; the second may be -1. Copies share them */
	struct cprof_thread_call call;
	uint64_t runs; /* 0: the kernel does not tell */
};

/* What walking them needs; one for all threads. */
struct cprof_wait_sleepers {
	struct cprof_wait_intake *intake; /* borrowed */
	struct cprof_thread_names names;
	uint8_t *bytes; /* owned; room for one stack */
	size_t cap;
};

/* Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_sleepers_init(struct cprof_wait_sleepers *sleepers,
					     struct cprof_wait_intake *intake);
void cprof_wait_sleepers_deinit(struct cprof_wait_sleepers *sleepers);

/* Open the files of a thread; a negative syscall_fd is -errno. Close both with cprof_wait_sleeper_close(). */
void cprof_wait_sleeper_open(pid_t pid, pid_t tid, struct cprof_wait_sleeper *ret_sleeper);
void cprof_wait_sleeper_close(struct cprof_wait_sleeper *sleeper);

/*
 * A thread whose call somebody else has told, after `switches` context switches, where /proc does not: false if it has run since.
 * To be closed either way.
 */
bool cprof_wait_sleeper_open_told(pid_t pid, pid_t tid, const struct cprof_thread_call *call,
				  uint64_t switches, struct cprof_wait_sleeper *ret_sleeper);

/* Whether a thread has been switched to or from `switches` times by now, no more and no less. */
bool cprof_wait_sleeper_has_switched(pid_t pid, pid_t tid, uint64_t switches);

/* Read call and runs anew. True if it sleeps. */
bool cprof_wait_sleeper_read(struct cprof_wait_sleeper *sleeper);

/* True if `now`, read later, is still in the sleep that `before` was in. */
bool cprof_wait_sleeper_same(const struct cprof_wait_sleeper *before,
			     const struct cprof_wait_sleeper *now);

/* Whether the run is about waits like this one: futex calls, with -block all every call and page faults. */
bool cprof_wait_sleeper_in_scope(const struct cprof_wait_sleeper *sleeper,
				 const struct cprof_wait_intake *intake);

/* The wait it is in: thread, call, lock and who holds it. Count and times are the caller's to fill in. */
struct cprof_wait cprof_wait_sleeper_wait(const struct cprof_wait_sleeper *sleeper,
					  struct cprof_wait_intake *intake);

/*
 * Walk the stack of the sleep in `sleeper`. `regs` are its registers where somebody knows them all, else NULL. Where
 * the thread has moved on it is read again, a few times, in case that it is in the very same call. `*ret_caught`:
 * the stack is that of this sleep; false: it is gone, `*ret_stack` is the innermost frame and the mark of a stack
 * that is cut. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wait_sleepers_walk(struct cprof_wait_sleepers *sleepers,
					     const struct cprof_wait_sleeper *sleeper,
					     const struct cprof_regs *regs, bool *ret_caught,
					     struct cprof_session_stack *ret_stack);

#endif
