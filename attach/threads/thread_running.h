/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_running.h - the registers and stack of threads that run right now: one perf sample each.
 *
 * A cpu-clock event per thread that fires once, at the next 10 us of CPU time the thread gets, and is then off. The
 * thread does not stop; it pays for one sample (a few microseconds). Works for an ordinary user's own processes
 * at kernel.perf_event_paranoid 2.
 *
 * Source of truth: perf_event_open(2) PERF_SAMPLE_REGS_USER, PERF_EVENT_IOC_REFRESH.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_RUNNING_H
#define CPROF_ATTACH_THREADS_THREAD_RUNNING_H

#include <linux/perf_event.h>
#include <stdbool.h>

#include "attach/threads/thread.h"
#include "cprof/error.h"

/*
 * The first perf event of a machine makes the kernel patch its own code, which takes it some 10 ms. An idle event of our
 * own, held while snapshots are taken, keeps that out of them. -1 where perf is not to be had; close() it.
 */
int cprof_thread_running_prepare(void);

/*
 * Fill regs, stack and means (PERF) of each of `threads` that runs within `wait_ns`; leave the others as they are.
 * Blocks at most that long, usually a millisecond. Errors: DENIED, OS, when not even one event could be opened.
 */
struct cprof_error *cprof_thread_running_sample(struct cprof_thread **threads, size_t n,
						uint64_t wait_ns);

/* Decode one PERF_RECORD_SAMPLE of this event into `thread`; false if it breaks its format. */
bool cprof_thread_running_decode(const struct perf_event_header *record,
				 struct cprof_thread *thread);

#endif
