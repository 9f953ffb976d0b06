/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_tracepoint.h - the numbers of system calls' tracepoints, by which perf_event_open(2) wants them.
 *
 * They stand in tracefs, which is not mounted everywhere and which only root may enter. But tracepoints of system calls may be
 * opened by anybody for his own processes, so their numbers can be found by trying: open a few dozen, make the call, and
 * see which have counted. That is done once per boot, in a process of its own, since the kernel takes some 50 ms to close each.
 */
#ifndef CPROF_ATTACH_PERF_PERF_TRACEPOINT_H
#define CPROF_ATTACH_PERF_PERF_TRACEPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

#define CPROF_PERF_TRACEPOINTS_MAX     8 /* that are looked for at once */
#define CPROF_PERF_TRACEPOINT_ARGUMENT 1 /* no call returns this when it fails */

/* The entry of a system call, or its return. */
struct cprof_perf_tracepoint {
	const char *name; /* "sys_enter_clone3" */
	bool is_return;   /* "sys_exit_..." */
	void (*call)(
		void); /* makes the call once, so that it fails and does nothing; an only argument is _ARGUMENT */
	unsigned
		guess; /* about which number to try first: they are given out as the kernel is linked */
	uint64_t id; /* what is found; 0: this kernel has none */
};

/*
 * Find all `n`. `file` is where their numbers are kept until the next boot. Microseconds, or a few tenths of a second where they have to
 * be tried. Errors: DENIED (system calls may not be traced: kernel.perf_event_paranoid is above 2), UNSUPPORTED (there is none of
 * them), OS.
 */
struct cprof_error *cprof_perf_tracepoints_find(struct cprof_perf_tracepoint *points, size_t n,
						const char *file);

/* The number of any tracepoint, "task_newtask" of the group "task", as tracefs has it; 0: there is none, or we may not look. */
uint64_t cprof_perf_tracepoint_id(const char *group, const char *name);

/* Whether tracefs is there and ours to read. */
bool cprof_perf_tracepoints_readable(void);

/* The way of trying alone; for tests. */
struct cprof_error *cprof_perf_tracepoints_probe(struct cprof_perf_tracepoint *points, size_t n);

#endif
