/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_run.h - the CPU profile: where processor time, or what another event counts, goes.
 *
 * Changes nothing in the target and stops nobody.
 */
#ifndef CPROF_ATTACH_CPU_CPU_RUN_H
#define CPROF_ATTACH_CPU_CPU_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/run/run.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_cpu_request {
	const char *event;    /* "cpu-clock", or any name of perf_event_name.h */
	double rate_hz;       /* samples a second of CPU time, from 0.1 */
	uint64_t stack_bytes; /* copied with each sample; a multiple of 8, at most 65,528 */
	bool user_only;       /* no kernel frames */
	double overhead; /* share of each processor that it may cost, or it samples less often; 0: whatever it costs */
	const char *strategy; /* of opening events: "auto", or a row of perf_source.c */
};

/*
 * Sample until the window is over, and hand out the finished profile. A target that ends early ends the window; that is no
 * error. Errors: USAGE (no such event), DENIED, UNSUPPORTED, NO_TARGET, OS, NO_MEMORY.
 */
struct cprof_error *cprof_cpu_run(const struct cprof_run *run,
				  const struct cprof_cpu_request *request,
				  struct cprof_profile **ret_profile);

#endif
