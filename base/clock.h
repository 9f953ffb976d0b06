/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/clock.h - the clocks, by name. A variable that holds a time says which one: mono_ns, wall_ns.
 */
#ifndef CPROF_BASE_CLOCK_H
#define CPROF_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define CPROF_NS_PER_S 1000000000ull

static inline uint64_t cprof_clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * CPROF_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC: durations and deadlines; perf events are opened on the same clock. */
static inline uint64_t cprof_clock_mono_ns(void)
{
	return cprof_clock_ns(CLOCK_MONOTONIC);
}

/* CLOCK_REALTIME: what goes into a profile as time_nanos. */
static inline uint64_t cprof_clock_wall_ns(void)
{
	return cprof_clock_ns(CLOCK_REALTIME);
}

/* CPU time used by this process, all threads. */
static inline uint64_t cprof_clock_cpu_ns(void)
{
	return cprof_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

#endif
