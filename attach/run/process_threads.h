/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/process_threads.h - names of threads by id, and the label set of each.
 *
 * Bounded: a target that creates 1,000 threads a second makes the table start afresh, not grow.
 */
#ifndef CPROF_ATTACH_RUN_PROCESS_THREADS_H
#define CPROF_ATTACH_RUN_PROCESS_THREADS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/target.h"

#define CPROF_PROCESS_THREADS_MAX 16384

struct cprof_process_thread {
	char name[CPROF_COMM_MAX];
	uint32_t labels; /* the builder's number; valid if have_labels */
	bool have_labels;
	enum {
		CPROF_CHOICE_OPEN,
		CPROF_CHOICE_IN,
		CPROF_CHOICE_OUT
	} choice; /* of thread_choice.h, for this name */
};

struct cprof_process_threads;

struct cprof_process_threads *cprof_process_threads_new(void);
void cprof_process_threads_free(struct cprof_process_threads *threads);

/* Nothing is known any more (exec). */
void cprof_process_threads_clear(struct cprof_process_threads *threads);

/* The builder has begun anew: its numbers of label sets mean nothing any more. */
void cprof_process_threads_forget_labels(struct cprof_process_threads *threads);

/*
 * The thread's entry, read from /proc on first sight, and if it is gone from there named like the process.
 * NULL: out of memory. Valid until the next call.
 */
struct cprof_process_thread *cprof_process_threads_get(struct cprof_process_threads *threads,
						       const struct cprof_target *target,
						       pid_t tid);

/* It is called `name` from now on. False: out of memory. */
bool cprof_process_threads_set(struct cprof_process_threads *threads, pid_t tid, const char *name);

/* A new thread: it bears its creator's name until it takes another. False: out of memory. */
bool cprof_process_threads_fork(struct cprof_process_threads *threads,
				const struct cprof_target *target, pid_t tid, pid_t parent);

#endif
