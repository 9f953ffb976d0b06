/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_event_name.h - event names to what perf_event_open(2) wants, through libpfm4.
 *
 * libpfm4 brings its own struct perf_event_attr, so only numbers pass through here.
 */
#ifndef CPROF_ATTACH_PERF_PERF_EVENT_NAME_H
#define CPROF_ATTACH_PERF_PERF_EVENT_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_perf_event_name {
	uint32_t type; /* as in struct perf_event_attr, all four */
	uint64_t config, config1, config2;
	bool is_clock;  /* cpu-clock, task-clock: a period is a number of nanoseconds */
	bool user_only; /* the name says so ("cycles:u") */
};

/*
 * The kernel's counters ("page-faults", "cs"), tracepoints as tracefs has them ("sched:sched_switch"), and any name libpfm4 knows:
 * "cycles", "LLC-load-misses", "r01c2", "cycles:u". Errors: USAGE for an unknown name; whether this machine can count it is seen
 * when opening. UNSUPPORTED: libpfm4 would have to be asked, and is not installed.
 */
struct cprof_error *cprof_perf_event_name_find(const char *name, struct cprof_perf_event_name *ret);

/* The same, libpfm4 being asked for all of them. UNSUPPORTED where it is not installed. */
struct cprof_error *cprof_perf_event_name_ask(const char *name, struct cprof_perf_event_name *ret);

/*
 * One line per event that can be opened here and now, with its description, appended to `out`. `*ret_pmu` tells
 * whether the processor's own counters are among them. Takes about 10 ms.
 */
struct cprof_error *cprof_perf_event_name_list(struct cprof_buffer *out, bool *ret_pmu);

#endif
