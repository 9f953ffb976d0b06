/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/movements.h - a comparison as a table: what each entry had before and has after, the largest changes first.
 *
 * Whether a change is more than chance is told where samples were counted (a type "samples" in count): of two counts that are
 * each Poisson's, the difference has a deviation of sqrt(before + after), and 1.96 of those are passed by chance in 5 % of cases.
 */
#ifndef CPROF_CONVERT_OUTPUT_MOVEMENTS_H
#define CPROF_CONVERT_OUTPUT_MOVEMENTS_H

#include "convert/graph/node_info.h"
#include "convert/graph/stack_columns.h"
#include "cprof/error.h"

enum cprof_movement_noise {
	CPROF_NOISE_UNKNOWN, /* nothing was counted, or as much as before */
	CPROF_NOISE_WITHIN,  /* it may be chance */
	CPROF_NOISE_BEYOND,  /* by 95 % it is not */
};

struct cprof_movement {
	uint32_t info;
	int64_t flat[2], cum[2]; /* before, after */
	enum cprof_movement_noise flat_noise, cum_noise;
};

struct cprof_movements {
	struct cprof_node_infos infos;
	struct cprof_movement *rows; /* owned; those that are worth showing, sorted */
	uint32_t n, n_changed;       /* rows; entries with any change */
	int64_t total[2];            /* before, after */
	bool has_noise;
};

/* The report's format has to have CPROF_FORMAT_ALL_TYPES. Sorted by own change, or with -cum by that with callees. */
struct cprof_error *cprof_movements_init(struct cprof_movements *movements,
					 struct cprof_report *report);
void cprof_movements_deinit(struct cprof_movements *movements);

/* "yes", "chance" or "-": a word for each. */
const char *cprof_movement_noise_word(enum cprof_movement_noise noise);

#endif
