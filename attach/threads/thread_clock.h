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
 * Set idle_ns, in ns until `mono_ns` of CLOCK_MONOTONIC, of every thread that sleeps and whose last_ns is known; of the others it is 0.
 * Moves the calling thread to each CPU that one of them last ran on, for a moment, and back. A CPU that it may not run on is taken
 * to have the clock of the one it is on. Does not touch the target.
 */
void cprof_thread_clock_fill(struct cprof_thread_snapshot *snapshot, uint64_t mono_ns);

#endif
