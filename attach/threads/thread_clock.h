/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_clock.h - how long the threads of a snapshot have not run.
 *
 * Owns the scheduler's clock, in which the kernel says when a thread last ran (`se.exec_start`). Each CPU has one of its own: it stands
 * still while the hypervisor has taken that CPU away, so the clocks of two CPUs part by seconds on a busy host.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_CLOCK_H
#define CPROF_ATTACH_THREADS_THREAD_CLOCK_H

#include "attach/threads/thread.h"

/*
 * Set idle_ns, in ns until `mono_ns` of CLOCK_MONOTONIC, of every thread that sleeps and whose last_ns is known. It stays 0 where the
 * clock is not to be had: a CPU that we may not run on, or that is not free for 0.1 s. A thread of ours visits each CPU that one
 * of them last ran on, a moment each. Does not touch the target.
 */
void cprof_thread_clock_fill(struct cprof_thread_snapshot *snapshot, uint64_t mono_ns);

#endif
