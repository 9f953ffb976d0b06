/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/wait.h"

#include "base/clock.h"

struct cprof_wait_weight cprof_wait_weigh(uint64_t delay_ns, uint64_t rate_ns)
{
	/* A wait without duration would weigh infinitely; Go counts one tick too. */
	if (delay_ns == 0)
		delay_ns = 1;
	if (delay_ns >= rate_ns)
		return (struct cprof_wait_weight){ 1, (double)delay_ns };
	return (struct cprof_wait_weight){ (double)rate_ns / (double)delay_ns, (double)rate_ns };
}

struct cprof_wait_weight cprof_wait_weigh_part(uint64_t delay_ns, uint64_t part_ns,
					       uint64_t rate_ns)
{
	struct cprof_wait_weight weight = cprof_wait_weigh(delay_ns, rate_ns);
	if (part_ns < delay_ns)
		weight.delay_ns = weight.count * (double)part_ns;
	return weight;
}

uint64_t cprof_wait_part_ns(uint64_t began_ns, uint64_t woken_ns, uint64_t from_ns, uint64_t to_ns)
{
	const uint64_t begin_ns = began_ns > from_ns ? began_ns : from_ns,
		       end_ns = woken_ns < to_ns ? woken_ns : to_ns;
	return end_ns > begin_ns ? end_ns - begin_ns : 0;
}

bool cprof_wait_keeps(uint64_t delay_ns, uint64_t rate_ns, uint64_t random)
{
	if (delay_ns == 0)
		delay_ns = 1;
	if (delay_ns >= rate_ns)
		return true;
	return (uint64_t)((unsigned __int128)random * rate_ns >> 64) < delay_ns;
}

uint64_t cprof_wait_pace_next(struct cprof_wait_pace *pace, uint64_t records, uint64_t period_ns,
			      uint64_t lost)
{
	if (period_ns == 0)
		return pace->rate_ns;
	uint64_t target = pace->target_per_s * period_ns / CPROF_NS_PER_S;
	if (lost > 0 || records > target)
		pace->rate_ns *= 2;
	else if (records < target / 4)
		pace->rate_ns /= 2;
	if (pace->rate_ns < pace->floor_ns)
		pace->rate_ns = pace->floor_ns;
	if (pace->rate_ns > pace->ceiling_ns)
		pace->rate_ns = pace->ceiling_ns;
	return pace->rate_ns;
}
