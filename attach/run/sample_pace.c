/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/sample_pace.h"

bool cprof_sample_pace_next(struct cprof_sample_pace *pace, uint64_t samples, uint64_t cpu_ns,
			    uint64_t mono_ns)
{
	uint64_t was = pace->period;
	if (pace->mono_ns && mono_ns > pace->mono_ns) {
		double seconds = (double)(mono_ns - pace->mono_ns);
		double cost = ((double)(samples - pace->samples) * pace->sample_ns +
			       (double)(cpu_ns - pace->cpu_ns)) /
			      seconds;
		if (cost > pace->budget) {
			/* Cost goes with 1/period; more than fourfold at once would overshoot on a burst. */
			double factor = cost / pace->budget;
			pace->period =
				(uint64_t)((double)pace->period * (factor > 4 ? 4 : factor)) + 1;
		} else if (cost < pace->budget / 3) {
			pace->period /= 2;
		}
		if (pace->period > pace->most)
			pace->period = pace->most;
		if (pace->period < pace->base)
			pace->period = pace->base;
	}
	pace->samples = samples;
	pace->cpu_ns = cpu_ns;
	pace->mono_ns = mono_ns;
	return pace->period != was;
}
