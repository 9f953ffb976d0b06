/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_pace.h"

#include <stdlib.h>

#include "attach/perf/perf_host.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define EVERY_NS   CPROF_NS_PER_S
#define PERIOD_MAX (10 * CPROF_NS_PER_S) /* of the slowest rate that can be asked for */

/* The interrupt, and copying the stack: 1.6 us and 0.11 us for each KB, measured on Linux 6.18. */
static double sample_ns(uint64_t stack_bytes)
{
	return 1600 + 110 * (double)stack_bytes / 1024;
}

void cprof_cpu_pace_start(struct cprof_cpu_pace *pace, double overhead, double rate_hz,
			  uint64_t stack_bytes, uint64_t mono_ns)
{
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n = 1;
	cprof_error_free(cprof_perf_host_cpus(&cpus, &n));
	const uint64_t period = (uint64_t)((double)CPROF_NS_PER_S / rate_hz + 0.5);
	*pace = (struct cprof_cpu_pace){
		.sample = { .base = period,
			    .period = period,
			    .most = PERIOD_MAX,
			    .budget = overhead * (double)(n ? n : 1),
			    .sample_ns = sample_ns(stack_bytes) },
		.due_mono_ns = overhead > 0 ? mono_ns + EVERY_NS : UINT64_MAX,
	};
}

bool cprof_cpu_pace_look(struct cprof_cpu_pace *pace, struct cprof_counts *counts, uint64_t mono_ns)
{
	if (mono_ns < pace->due_mono_ns)
		return false;
	pace->due_mono_ns = mono_ns + EVERY_NS;
	const bool changed = cprof_sample_pace_next(&pace->sample, counts->samples,
						    cprof_clock_cpu_ns(), mono_ns);
	counts->slowed = pace->sample.period > pace->sample.base;
	return changed;
}
