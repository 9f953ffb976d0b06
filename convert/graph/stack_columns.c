/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/stack_columns.h"

#include <stdlib.h>

#include "base/cleanup.h"

static int64_t value_of(const struct cprof_stack_columns *c, uint32_t sample, uint32_t type)
{
	const struct cprof_profile *p = c->report->profile;
	int64_t value = p->values[(size_t)sample * p->n_types + cprof_stack_columns_type(c, type)];
	int64_t divisor = cprof_report_divisor(c->report, sample);
	return cprof_measure_divide(value, divisor);
}

static bool has_negative(const struct cprof_stack_columns *c)
{
	for (uint32_t i = 0; i < c->report->profile->n_samples; i++) {
		for (uint32_t type = 0; type < c->n_types; type++) {
			if (value_of(c, i, type) < 0)
				return true;
		}
	}
	return false;
}

static void fill_columns(struct cprof_stack_columns *c)
{
	for (uint32_t i = 0; i < c->report->profile->n_samples; i++) {
		int64_t *values = &c->values[(size_t)i * c->n];
		for (uint32_t type = 0; type < c->n_types; type++) {
			int64_t value = value_of(c, i, type);
			values[c->is_diff ? 2 * type + (value < 0) : type] =
				cprof_measure_abs(value);
			c->weight[type] += (uint64_t)cprof_measure_abs(value);
		}
	}
}

struct cprof_error *cprof_stack_columns_init(struct cprof_stack_columns *c,
					     const struct cprof_report *report)
{
	*c = (struct cprof_stack_columns){ .report = report };
	c->n_types = report->config.mean ? 1 : report->profile->n_types;
	c->shown = report->config.mean ? 0 : report->type;
	c->is_diff = has_negative(c);
	c->n = c->is_diff ? 2 * c->n_types : c->n_types;
	c->weight = calloc((size_t)c->n_types + 1, sizeof(*c->weight));
	c->values = calloc((size_t)report->profile->n_samples * c->n + 1, sizeof(*c->values));
	if (!c->weight || !c->values)
		return cprof_error_no_memory();
	fill_columns(c);
	return NULL;
}

void cprof_stack_columns_deinit(struct cprof_stack_columns *c)
{
	free(c->weight);
	free(c->values);
	*c = (struct cprof_stack_columns){ 0 };
}

bool cprof_stack_columns_empty(const struct cprof_stack_columns *c, uint32_t sample)
{
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->values[(size_t)sample * c->n + i])
			return false;
	}
	return true;
}

static void add_sample(struct cprof_info_sums *sums, const struct cprof_stack_columns *c,
		       const struct cprof_root_stacks *stacks, uint32_t sample, uint32_t *seen)
{
	size_t end = stacks->start[sample + 1];
	for (size_t i = stacks->start[sample]; i < end; i++) {
		uint32_t info = stacks->frames[i];
		if (i + 1 == end)
			cprof_stack_columns_add(c, sample, &sums->flat[(size_t)info * c->n]);
		if (seen[info] == sample + 1)
			continue;
		seen[info] = sample + 1;
		cprof_stack_columns_add(c, sample, &sums->cum[(size_t)info * c->n]);
	}
}

struct cprof_error *cprof_info_sums_init(struct cprof_info_sums *sums,
					 const struct cprof_stack_columns *c,
					 const struct cprof_root_stacks *stacks, uint32_t n_infos)
{
	size_t n = (size_t)n_infos + 1;
	CPROF_AUTO(free) uint32_t *seen = calloc(n, sizeof(*seen));
	sums->flat = calloc(n * (c->n + 1), sizeof(*sums->flat));
	sums->cum = calloc(n * (c->n + 1), sizeof(*sums->cum));
	if (!seen || !sums->flat || !sums->cum)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < c->report->profile->n_samples; i++) {
		if (!cprof_stack_columns_empty(c, i))
			add_sample(sums, c, stacks, i, seen);
	}
	return NULL;
}

void cprof_info_sums_deinit(struct cprof_info_sums *sums)
{
	free(sums->flat);
	free(sums->cum);
	*sums = (struct cprof_info_sums){ 0 };
}
