/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/slope.h - how fast something grows that was sampled at several moments, and how sure that is.
 *
 * Pure. Least squares. Two things make it uncertain. Blocks come and go at random and a sampled one stands for many: the slope is a weighted sum of
 * samples that came, less one of samples that went, and each of the two has a gamma interval (Fay and Feuer, "Confidence intervals for directly
 * standardized rates", Statistics in Medicine 16, 1997), with half a sample more on its upper side (Jeffreys' prior). So what grows because
 * nothing goes is told from what only happens to have more by the end. And what is in use need not lie on a line: the scatter about it,
 * beyond what chance explains, counts as many times as the residuals change sides, for neighbours are alike.
 */
#ifndef CPROF_CONVERT_OUTPUT_SLOPE_H
#define CPROF_CONVERT_OUTPUT_SLOPE_H

#include <stdbool.h>
#include <stddef.h>

#define CPROF_SLOPE_CONFIDENCE 99 /* percent, of `low` and of `high` by itself */

struct cprof_slope_point {
	double at;      /* ascending */
	double value;   /* in use, unsampled */
	double samples; /* of which it was made */
};

struct cprof_slope {
	double value;     /* per unit of `at` */
	double error;     /* standard error */
	double low, high; /* one-sided bounds */
	double steady;    /* the value without the part of that one moment in which most came */
};

/*
 * Of n >= 2 points. `turnover`: the blocks of two moments may be others altogether, so that each value has an error of its own; else
 * what is in use at two moments is the same but for the difference. False: the points are of one moment.
 */
bool cprof_slope_fit(const struct cprof_slope_point *points, size_t n, bool turnover,
		     struct cprof_slope *ret_slope);

#endif
