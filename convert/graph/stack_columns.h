/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/stack_columns.h - the values of a report's samples as columns of numbers that are never negative.
 *
 * A type of value is one column; in a comparison two: what is new, then what is old. A report of means has its own type only.
 */
#ifndef CPROF_CONVERT_GRAPH_STACK_COLUMNS_H
#define CPROF_CONVERT_GRAPH_STACK_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/graph/root_stacks.h"
#include "convert/report/report.h"
#include "cprof/error.h"

struct cprof_stack_columns {
	const struct cprof_report *report; /* borrowed */
	uint32_t n_types;
	uint32_t shown;   /* the type that the report asks for */
	uint32_t n;       /* columns: n_types, or twice that */
	bool is_diff;     /* some value is negative */
	int64_t *values;  /* owned: sample i, column c: values[i * n + c] */
	uint64_t *weight; /* owned: by type, the sum of its columns over all samples */
};

struct cprof_error *cprof_stack_columns_init(struct cprof_stack_columns *columns,
					     const struct cprof_report *report);
void cprof_stack_columns_deinit(struct cprof_stack_columns *columns);

/* The profile's number of a type of ours. */
static inline uint32_t cprof_stack_columns_type(const struct cprof_stack_columns *columns,
						uint32_t type)
{
	return columns->report->config.mean ? columns->report->type : type;
}

/* Add the sample's values to sums[0 .. n). */
static inline void cprof_stack_columns_add(const struct cprof_stack_columns *columns,
					   uint32_t sample, int64_t *sums)
{
	const int64_t *values = &columns->values[(size_t)sample * columns->n];
	for (uint32_t i = 0; i < columns->n; i++)
		sums[i] = cprof_measure_add(sums[i], values[i]);
}

/* The sample's values will be added soon. */
static inline void cprof_stack_columns_prefetch(const struct cprof_stack_columns *columns,
						uint32_t sample)
{
	__builtin_prefetch(&columns->values[(size_t)sample * columns->n]);
}

/* Whether the sample counts for nothing in every column. */
bool cprof_stack_columns_empty(const struct cprof_stack_columns *columns, uint32_t sample);

/* What each info has by itself and with its callees, over all samples; recursion counts once. Info i, column c: [i * n + c]. */
struct cprof_info_sums {
	int64_t *flat, *cum; /* owned */
};

struct cprof_error *cprof_info_sums_init(struct cprof_info_sums *sums,
					 const struct cprof_stack_columns *columns,
					 const struct cprof_root_stacks *stacks, uint32_t n_infos);
void cprof_info_sums_deinit(struct cprof_info_sums *sums);

#endif
