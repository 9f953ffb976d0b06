/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_idle.h - why a CPU profile is (nearly) empty, in a sentence: the processes that the target started worked
 * instead, or nobody did.
 */
#ifndef CPROF_ATTACH_CPU_CPU_IDLE_H
#define CPROF_ATTACH_CPU_CPU_IDLE_H

#include <stddef.h>
#include <stdint.h>

#include "attach/run/run.h"

struct cprof_cpu_idle {
	uint64_t
		children_before_ns; /* processor time of the targets' descendants when the window began */
	uint64_t children_ns;       /* and in the window */
};

void cprof_cpu_idle_start(struct cprof_cpu_idle *idle, const struct cprof_run *run);
void cprof_cpu_idle_stop(struct cprof_cpu_idle *idle, const struct cprof_run *run);

/*
 * The sentence for `sampled_ns` of processor time in a window of `window_ns`; "" where that is a profile like others: more
 * than a hundredth of the window, and not much less than the children used.
 */
void cprof_cpu_idle_text(uint64_t sampled_ns, uint64_t window_ns, uint64_t children_ns, char *text,
			 size_t n);

#endif
