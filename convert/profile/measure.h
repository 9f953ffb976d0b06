/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/measure.h - numbers with units: scaling, labels and percentages as reports print them.
 *
 * The families are bytes (steps of 1024), time (no minutes) and Google compute units. Units are matched
 * in lower case and without a plural s. Source of truth: the output of google/pprof.
 */
#ifndef CPROF_CONVERT_PROFILE_MEASURE_H
#define CPROF_CONVERT_PROFILE_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/buffer.h"

/* Sums over foreign values must not overflow into undefined behaviour; they wrap, as in pprof. */
static inline int64_t cprof_measure_add(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t cprof_measure_subtract(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

/* A mean: `sum` itself where there is nothing to divide it by. */
static inline int64_t cprof_measure_divide(int64_t sum, int64_t divisor)
{
	if (divisor == -1) /* for the smallest of all numbers the processor would trap */
		return cprof_measure_subtract(0, sum);
	return divisor ? sum / divisor : sum;
}

static inline int64_t cprof_measure_abs(int64_t a)
{
	return a < 0 ? (int64_t)(0 - (uint64_t)a) : a;
}

/* double to int64_t, cutting the fraction; what does not fit becomes INT64_MIN. */
int64_t cprof_measure_truncate(double value);

struct cprof_measure {
	double value;
	const char *unit; /* borrowed: from a constant, or from the caller's `to` */
};

/*
 * `value` of unit `from` in unit `to`; "auto" and "minimum" choose the largest unit in which it is at
 * least 1. The unit is "" where it says nothing (counts).
 */
struct cprof_measure cprof_measure_scale(int64_t value, const char *from, const char *to);

/* "1.50s", "512kB", "0": at most two decimals, none where they are zero. */
void cprof_measure_label(struct cprof_buffer *out, int64_t value, const char *from, const char *to);

/* The label in a caller's array of at least CPROF_MEASURE_LABEL_MAX bytes (longer units are cut). */
#define CPROF_MEASURE_LABEL_MAX 352
const char *cprof_measure_label_text(char *text, int64_t value, const char *from, const char *to);

/* "12.34%", "  100%", "  0.5%": at least five columns and the sign; `text` has room for 32. */
const char *cprof_measure_percentage(char *text, int64_t value, int64_t total);

/* Whether values of the two units can be compared at all (one family, or the same text). */
bool cprof_measure_compatible(const char *unit_a, const char *unit_b);

#endif
