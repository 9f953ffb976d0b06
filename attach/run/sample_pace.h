/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/sample_pace.h - how often to sample so that it costs no more than it may.
 *
 * Pure: it is told counts and clocks and says a period, which is never below the one asked for.
 */
#ifndef CPROF_ATTACH_RUN_SAMPLE_PACE_H
#define CPROF_ATTACH_RUN_SAMPLE_PACE_H

#include <stdbool.h>
#include <stdint.h>

struct cprof_sample_pace {
	uint64_t base, period,
		most;     /* bytes or nanoseconds between samples: asked for, now, at most */
	double budget;    /* share of one processor, the target's and ours together */
	double sample_ns; /* what one sample costs the target */
	uint64_t samples, cpu_ns, mono_ns; /* at the last look; 0: none yet */
};

/* True if pace->period has changed. `samples` and `cpu_ns` (ours) count from any beginning. */
bool cprof_sample_pace_next(struct cprof_sample_pace *pace, uint64_t samples, uint64_t cpu_ns,
			    uint64_t mono_ns);

#endif
