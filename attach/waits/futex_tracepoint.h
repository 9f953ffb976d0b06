/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/futex_tracepoint.h - the numbers of the futex system calls' tracepoints, also where nobody lets us read them.
 *
 * perf_event_open(2) wants a tracepoint by number, and the numbers stand in tracefs, which only root may enter.
 * But the system call tracepoints may be opened by anybody for his own processes, so the number can be found by
 * trying: open a few dozen, make the call, and see which of them counted. That is done once per boot, in a child
 * process, because closing a tracepoint takes the kernel some 40 ms and the child can do that on its own time.
 */
#ifndef CPROF_ATTACH_WAITS_FUTEX_TRACEPOINT_H
#define CPROF_ATTACH_WAITS_FUTEX_TRACEPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/error.h"

struct cprof_futex_tracepoints {
	uint64_t enter_futex, exit_futex;
	uint64_t enter_waitv, exit_waitv; /* futex_waitv (Linux 5.16); 0: not there */
	const char *how;                  /* "tracefs", "cache" or "probing" */
};

/*
 * Takes microseconds from tracefs or cache, up to a second when it has to be probed. Errors: DENIED
 * (kernel.perf_event_paranoid is above 2: the hint says so), UNSUPPORTED (no such tracepoints in this kernel).
 */
struct cprof_error *cprof_futex_tracepoints_find(struct cprof_futex_tracepoints *ret);

/* The way of probing alone, past tracefs and cache; for tests. */
struct cprof_error *cprof_futex_tracepoints_probe(struct cprof_futex_tracepoints *ret);

#endif
