/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_pace.h - a recording of the CPU samples less often while it costs more than it may.
 *
 * What it costs is our own processor time, and by estimate what each sample costs the thread that is interrupted. Both grow with the processors that
 * work, and so does what it may cost: a share of each.
 */
#ifndef CPROF_ATTACH_CPU_CPU_PACE_H
#define CPROF_ATTACH_CPU_CPU_PACE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/run/run_log.h"
#include "attach/run/sample_pace.h"

struct cprof_cpu_pace {
	struct cprof_sample_pace sample; /* of nanoseconds */
	uint64_t due_mono_ns;
};

/*
 * The window begins. `overhead` is the share of each processor (0: whatever it costs), `rate_hz` what was asked for, `stack_bytes` what is
 * copied with each sample.
 */
void cprof_cpu_pace_start(struct cprof_cpu_pace *pace, double overhead, double rate_hz,
			  uint64_t stack_bytes, uint64_t mono_ns);

/* Look, if it is time to. True: another period is due from now on, pace->sample.period. */
bool cprof_cpu_pace_look(struct cprof_cpu_pace *pace, struct cprof_counts *counts,
			 uint64_t mono_ns);

#endif
