/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_request.h - what a wall-clock profile is asked for.
 */
#ifndef CPROF_ATTACH_WALL_WALL_REQUEST_H
#define CPROF_ATTACH_WALL_WALL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

struct cprof_wall_request {
	double rate_hz; /* of CPU samples, a second of CPU time */
	uint64_t
		stack_bytes; /* copied with each sample and wait; a multiple of 8, at most 65,528 */
	bool user_only;      /* no kernel frames */
	bool idle;           /* threads that never ran are shown as well */
	double overhead;     /* of one processor, at most; 0: no bound asked for */
	const char *method;  /* "auto", or the name of a tier: "bpf", "perf", "proc" */
	const char *strategy; /* of opening CPU events, as in cpu_run.h */
};

#endif
