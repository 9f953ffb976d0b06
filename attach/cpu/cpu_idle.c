/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_idle.h"

#include <stdio.h>

#include "attach/target/target_children.h"
#include "base/clock.h"

#define CHILDREN_TIMES 4                     /* so many times the target's own is worth a word */
#define CHILDREN_LEAST (CPROF_NS_PER_S / 20) /* the kernel's account of it is in ticks */
#define IDLE_PART      100

static uint64_t used(const struct cprof_run *run)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < run->n_targets; i++)
		sum += cprof_target_children_cpu_ns(run->targets[i]->pid);
	return sum;
}

void cprof_cpu_idle_start(struct cprof_cpu_idle *idle, const struct cprof_run *run)
{
	idle->children_before_ns = used(run);
	idle->children_ns = 0;
}

void cprof_cpu_idle_stop(struct cprof_cpu_idle *idle, const struct cprof_run *run)
{
	uint64_t now = used(run);
	/* Less where a child ended that nobody waited for. */
	idle->children_ns = now > idle->children_before_ns ? now - idle->children_before_ns : 0;
}

void cprof_cpu_idle_text(uint64_t sampled_ns, uint64_t window_ns, uint64_t children_ns, char *text,
			 size_t n)
{
	double own = (double)sampled_ns / 1e9, window = (double)window_ns / 1e9;
	text[0] = 0;
	if (children_ns >= CHILDREN_LEAST && children_ns / CHILDREN_TIMES >= sampled_ns)
		snprintf(
			text, n,
			"child processes used %.2f s of processor time, the process itself %.2f s: "
			"-children puts them into the profile",
			(double)children_ns / 1e9, own);
	else if (sampled_ns < window_ns / IDLE_PART)
		snprintf(
			text, n,
			"%s processor time was used in %.3g s: what its threads wait for is shown by "
			"-mode threads (now) and -mode block (for how long)",
			sampled_ns ? "hardly any" : "no", window);
}
