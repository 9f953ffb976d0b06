/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/movements.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define DEVIATIONS 1.96 /* of the normal distribution, 95 % two-sided */

struct making {
	struct cprof_movements *movements;
	struct cprof_report *report;
	struct cprof_root_stacks stacks;
	struct cprof_stack_columns columns;
	struct cprof_info_sums sums;
	uint32_t shown, counted; /* first columns of the types; counted UINT32_MAX: none */
};

const char *cprof_movement_noise_word(enum cprof_movement_noise noise)
{
	static const char *const words[] = { "-", "chance", "yes" };
	return words[noise];
}

/* The columns are new and old in a comparison; where nothing is negative there is nothing old. */
static int64_t side(const struct making *m, const int64_t *sums, uint32_t first, bool after)
{
	if (after)
		return sums[first];
	return m->columns.is_diff ? sums[first + 1] : 0;
}

/* The type whose values are numbers of samples that were really taken. */
static uint32_t find_counted(const struct making *m)
{
	const struct cprof_profile *p = m->report->profile;
	for (uint32_t i = 0; i < m->columns.n_types && !m->report->config.mean; i++) {
		const struct cprof_value_type *type = &p->types[i];
		if (strcmp(cprof_profile_text(p, type->type), "samples") == 0 &&
		    strcmp(cprof_profile_text(p, type->unit), "count") == 0)
			return i * (m->columns.is_diff ? 2 : 1);
	}
	return UINT32_MAX;
}

static enum cprof_movement_noise noise_of(const struct making *m, const int64_t *sums)
{
	if (m->counted == UINT32_MAX)
		return CPROF_NOISE_UNKNOWN;
	const double before = (double)side(m, sums, m->counted, false);
	const double after = (double)side(m, sums, m->counted, true);
	const double change = after - before;
	if (change == 0)
		return CPROF_NOISE_UNKNOWN;
	return change * change > DEVIATIONS * DEVIATIONS * (before + after) ? CPROF_NOISE_BEYOND
									    : CPROF_NOISE_WITHIN;
}

static void fill_row(const struct making *m, uint32_t info, struct cprof_movement *row)
{
	const int64_t *flat = &m->sums.flat[(size_t)info * m->columns.n];
	const int64_t *cum = &m->sums.cum[(size_t)info * m->columns.n];
	*row = (struct cprof_movement){
		.info = info,
		.flat = { side(m, flat, m->shown, false), side(m, flat, m->shown, true) },
		.cum = { side(m, cum, m->shown, false), side(m, cum, m->shown, true) },
		.flat_noise = noise_of(m, flat),
		.cum_noise = noise_of(m, cum),
	};
}

static int64_t change(const int64_t *pair)
{
	return cprof_measure_abs(cprof_measure_subtract(pair[1], pair[0]));
}

static int compare_rows(const void *a, const void *b, void *ctx)
{
	const struct making *m = ctx;
	const struct cprof_movement *x = a, *y = b;
	const bool by_cum = m->report->config.cum;
	for (int turn = 0; turn < 2; turn++) {
		const bool cum = by_cum == (turn == 0);
		const int64_t p = change(cum ? x->cum : x->flat),
			      q = change(cum ? y->cum : y->flat);
		if (p != q)
			return p > q ? -1 : 1;
	}
	return strcmp(cprof_node_infos_name(&m->movements->infos, x->info),
		      cprof_node_infos_name(&m->movements->infos, y->info));
}

static struct cprof_error *fill(struct making *m)
{
	struct cprof_movements *movements = m->movements;
	const struct cprof_config *config = &m->report->config;
	const int64_t least = config->trim
				      ? cprof_measure_abs(cprof_measure_truncate(
						(double)m->report->total * config->nodefraction))
				      : 0;
	movements->rows = calloc((size_t)movements->infos.n + 1, sizeof(*movements->rows));
	if (!movements->rows)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < movements->infos.n; i++) {
		struct cprof_movement row;
		fill_row(m, i, &row);
		const int64_t flat = change(row.flat), cum = change(row.cum);
		movements->n_changed += flat || cum;
		if (flat > least || cum > least)
			movements->rows[movements->n++] = row;
	}
	if (movements->n)
		qsort_r(movements->rows, movements->n, sizeof(*movements->rows), compare_rows, m);
	if (config->trim && config->nodecount > 0 && config->nodecount < movements->n)
		movements->n = (uint32_t)config->nodecount;
	return NULL;
}

static void sum_up(struct making *m)
{
	const struct cprof_profile *p = m->report->profile;
	for (uint32_t i = 0; i < p->n_samples; i++) {
		const int64_t *values = &m->columns.values[(size_t)i * m->columns.n];
		for (int after = 0; after < 2; after++)
			m->movements->total[after] = cprof_measure_add(
				m->movements->total[after], side(m, values, m->shown, after));
	}
}

struct cprof_error *cprof_movements_init(struct cprof_movements *movements,
					 struct cprof_report *report)
{
	struct making m = { .movements = movements, .report = report };
	*movements = (struct cprof_movements){ 0 };
	struct cprof_error *err = cprof_node_infos_init(&movements->infos, report);
	if (!err)
		err = cprof_stack_columns_init(&m.columns, report);
	if (!err)
		err = cprof_root_stacks_init(&m.stacks, &movements->infos);
	if (!err)
		err = cprof_info_sums_init(&m.sums, &m.columns, &m.stacks, movements->infos.n);
	if (!err) {
		m.shown = m.columns.shown * (m.columns.is_diff ? 2 : 1);
		m.counted = find_counted(&m);
		movements->has_noise = m.counted != UINT32_MAX;
		sum_up(&m);
		err = fill(&m);
	}
	cprof_root_stacks_deinit(&m.stacks);
	cprof_stack_columns_deinit(&m.columns);
	cprof_info_sums_deinit(&m.sums);
	return err;
}

void cprof_movements_deinit(struct cprof_movements *movements)
{
	cprof_node_infos_deinit(&movements->infos);
	free(movements->rows);
	*movements = (struct cprof_movements){ 0 };
}
