/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/thread_runs.h - a process's threads as a few ranges of numbers, and as a condition for an event's filter.
 *
 * An event of a whole CPU sees everybody's calls; the kernel drops those of other threads by a filter on `common_pid`, which
 * cannot be changed afterwards. So the ranges hold the threads that are there, and all numbers that will be given out from now on:
 * a thread is seen from its birth. They hold others' threads too, which the reader drops by the process in each record. Pure.
 *
 * Source of truth: Documentation/trace/events.rst "Event filtering". `common_pid` is of the first PID namespace.
 */
#ifndef CPROF_ATTACH_WAITS_THREAD_RUNS_H
#define CPROF_ATTACH_WAITS_THREAD_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/buffer.h"

/* Each one more costs every call of every process a comparison or two. */
#define CPROF_THREAD_RUNS_MAX 8

struct cprof_thread_runs {
	struct cprof_thread_run {
		uint32_t first, last; /* inclusive */
	} runs[CPROF_THREAD_RUNS_MAX];
	size_t n;
	uint32_t newest; /* thread numbers beyond it are in */
};

/* Sorts `tids`. More ranges than there is room for are joined where the fewest others lie between. */
void cprof_thread_runs_of(pid_t *tids, size_t n, uint32_t newest, struct cprof_thread_runs *ret);

bool cprof_thread_runs_has(const struct cprof_thread_runs *runs, uint32_t tid);

/* "common_pid > 900 || common_pid == 7 || common_pid >= 20 && common_pid <= 31" */
void cprof_thread_runs_filter(const struct cprof_thread_runs *runs, struct cprof_buffer *out);

#endif
