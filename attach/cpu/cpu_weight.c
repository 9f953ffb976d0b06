/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_weight.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"

#define SOON_NS  (2 * 1000000ull) /* at first the period is a guess, and rings are small */
#define LATER_NS (100 * 1000000ull)

struct cprof_error *cprof_cpu_weight_init(struct cprof_cpu_weight *weight, double rate_hz,
					  uint64_t first)
{
	*weight = (struct cprof_cpu_weight){ .rate_hz = rate_hz };
	return cprof_cpu_weight_changed(weight, 0, first);
}

void cprof_cpu_weight_deinit(struct cprof_cpu_weight *weight)
{
	free(weight->changes);
	cprof_map64_deinit(&weight->inherited);
	*weight = (struct cprof_cpu_weight){ 0 };
}

void cprof_cpu_weight_start(struct cprof_cpu_weight *weight, uint64_t mono_ns)
{
	weight->start_ns = weight->looked_ns = mono_ns;
	weight->looked_count = 0;
}

/* After as long as it has been going on. */
static uint64_t due_ns(const struct cprof_cpu_weight *weight)
{
	uint64_t step = weight->looked_ns - weight->start_ns;
	return weight->looked_ns + (step < SOON_NS ? SOON_NS : step > LATER_NS ? LATER_NS : step);
}

uint64_t cprof_cpu_weight_wait_ns(const struct cprof_cpu_weight *weight, uint64_t mono_ns)
{
	uint64_t due = due_ns(weight);
	return due > mono_ns ? due - mono_ns : 0;
}

bool cprof_cpu_weight_look(struct cprof_cpu_weight *weight, uint64_t mono_ns, uint64_t count,
			   uint64_t *ret_period)
{
	uint64_t now = weight->changes[weight->n - 1].period;
	if (mono_ns < weight->looked_ns + SOON_NS)
		return false;
	double seconds = (double)(mono_ns - weight->looked_ns) / (double)CPROF_NS_PER_S;
	double rate = (double)(count - weight->looked_count) / seconds;
	double wanted = rate / weight->rate_hz;
	weight->looked_ns = mono_ns;
	weight->looked_count = count;
	*ret_period = wanted < 1 ? 1 : (uint64_t)wanted;
	return *ret_period > 2 * now || *ret_period < (now + 1) / 2;
}

struct cprof_error *cprof_cpu_weight_changed(struct cprof_cpu_weight *weight, uint64_t mono_ns,
					     uint64_t period)
{
	if (!CPROF_ARRAY_ROOM(weight->changes, weight->n, weight->cap, 1))
		return cprof_error_no_memory();
	weight->changes[weight->n++] = (struct cprof_cpu_weight_change){ mono_ns, period };
	return NULL;
}

/* Samples come in the order of time and soon, so that it is one of the last. */
static uint64_t at(const struct cprof_cpu_weight *weight, uint64_t mono_ns)
{
	size_t i = weight->n - 1;
	while (i && weight->changes[i].from_mono_ns > mono_ns)
		i--;
	return weight->changes[i].period;
}

struct cprof_error *cprof_cpu_weight_inherit(struct cprof_cpu_weight *weight, pid_t tid,
					     uint64_t mono_ns)
{
	uint64_t *period = cprof_map64_put(&weight->inherited, (uint64_t)tid, NULL);
	if (!period)
		return cprof_error_no_memory();
	*period = at(weight, mono_ns);
	return NULL;
}

uint64_t cprof_cpu_weight_of(const struct cprof_cpu_weight *weight, pid_t tid, uint64_t mono_ns)
{
	const uint64_t *inherited = cprof_map64_get(&weight->inherited, (uint64_t)tid);
	return inherited ? *inherited : at(weight, mono_ns);
}

void cprof_cpu_weight_scale(struct cprof_profile *profile, uint32_t type, uint64_t total)
{
	double sum = 0, so_far = 0;
	uint64_t given = 0;
	for (uint32_t i = 0; i < profile->n_samples; i++)
		sum += (double)profile->values[(size_t)i * profile->n_types + type];
	for (uint32_t i = 0; sum > 0 && i < profile->n_samples; i++) {
		int64_t *value = &profile->values[(size_t)i * profile->n_types + type];
		so_far += (double)*value;
		/* The rest of each rounding goes to the next, so that nothing is lost on the way. */
		uint64_t until = (uint64_t)((double)total * (so_far / sum) + 0.5);
		*value = (int64_t)(until - given);
		given = until;
	}
}
