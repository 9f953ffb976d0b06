/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_counter.h - how often an event has happened in some processes: the kernel's own count, without samples.
 *
 * One counter for each thread, inherited by the threads that it creates (by processes only if asked to), and 1 descriptor each. A
 * launched command is counted from its exec on. Where more is counted than the processor has counters for, the kernel
 * counts each a part of the time, and the whole is reckoned from that part.
 *
 * Source of truth: perf_event_open(2) "inherit", "inherit_thread" and PERF_FORMAT_TOTAL_TIME_RUNNING.
 */
#ifndef CPROF_ATTACH_PERF_PERF_COUNTER_H
#define CPROF_ATTACH_PERF_PERF_COUNTER_H

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_perf_counter {
	struct cprof_perf_counter_thread {
		int fd;                                 /* owned */
		uint64_t value, enabled_ns, running_ns; /* at the start */
	} * threads;                                    /* owned */
	size_t n, cap;
	bool takes_turns; /* with others, where a processor has too few counters; the kernel's own always count */
};

/*
 * Count from now on. Of `attr` the event and what is excluded are taken. A thread that is created by one which has no
 * counter yet is missed. A zeroed struct is closed. Errors: NO_TARGET, DENIED, UNSUPPORTED, OS, NO_MEMORY.
 */
struct cprof_error *cprof_perf_counter_open(const struct perf_event_attr *attr,
					    struct cprof_target *const *targets, size_t n_targets,
					    bool children, struct cprof_perf_counter *ret_counter);
void cprof_perf_counter_close(struct cprof_perf_counter *counter);

/* What was counted before does not count. */
void cprof_perf_counter_start(struct cprof_perf_counter *counter);

/* Since the start, threads that have ended included. */
uint64_t cprof_perf_counter_read(const struct cprof_perf_counter *counter);

/* `value` counted in `running_ns` of `enabled_ns`: in all of it. 0 where it never ran. */
uint64_t cprof_perf_counter_whole(uint64_t value, uint64_t enabled_ns, uint64_t running_ns);

#endif
