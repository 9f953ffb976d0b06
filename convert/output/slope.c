/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/slope.h"

#include <math.h>

#define Z 2.3263 /* CPROF_SLOPE_CONFIDENCE of a normal distribution are below it */

/* What is the same for every sum over the points. */
struct line {
	double mean_at, mean_value;
	double spread; /* sum of squared distances from mean_at */
	double slope;
};

static bool lay_line(const struct cprof_slope_point *points, size_t n, struct line *line)
{
	*line = (struct line){ 0 };
	for (size_t i = 0; i < n; i++) {
		line->mean_at += points[i].at / (double)n;
		line->mean_value += points[i].value / (double)n;
	}
	for (size_t i = 0; i < n; i++) {
		const double x = points[i].at - line->mean_at;
		line->spread += x * x;
		line->slope += x * (points[i].value - line->mean_value);
	}
	if (!(line->spread > 0))
		return false;
	line->slope /= line->spread;
	return true;
}

/* What one sample stands for. */
static double weight(double value, double samples)
{
	return samples > 0 ? fabs(value) / samples : 0;
}

/* The largest part that one more sample could have. */
static double largest_part(const struct cprof_slope_point *points, size_t n,
			   const struct line *line)
{
	double largest = 0, part = 0;
	for (size_t i = n; i-- > 1;) {
		part += (points[i].at - line->mean_at) / line->spread;
		const double w = part * weight(points[i].value, points[i].samples);
		largest = w > largest ? w : largest;
	}
	return largest;
}

/* Each sample that came or went between two moments changes all later values: its part in the slope is the sum of their parts. */
static double variance_of_changes(const struct cprof_slope_point *points, size_t n,
				  const struct line *line)
{
	double variance = 0, part = 0;
	for (size_t i = n; i-- > 1;) {
		const struct cprof_slope_point *a = &points[i - 1], *b = &points[i];
		part += (b->at - line->mean_at) / line->spread;
		const double w = weight(a->value + b->value, a->samples + b->samples);
		variance += part * part * w * w * fabs(b->samples - a->samples);
	}
	return variance;
}

static double variance_of_values(const struct cprof_slope_point *points, size_t n,
				 const struct line *line)
{
	double variance = 0;
	for (size_t i = 0; i < n; i++) {
		const double part = (points[i].at - line->mean_at) / line->spread;
		const double w = weight(points[i].value, points[i].samples);
		variance += part * part * w * w * points[i].samples;
	}
	return variance;
}

static double variance_of_scatter(const struct cprof_slope_point *points, size_t n,
				  const struct line *line)
{
	double squares = 0, before = 0;
	size_t sides = 0;
	if (n < 3)
		return 0;
	for (size_t i = 0; i < n; i++) {
		const double residual = points[i].value - line->mean_value -
					line->slope * (points[i].at - line->mean_at);
		squares += residual * residual;
		sides += i == 0 || (residual > 0) != (before > 0);
		before = residual;
	}
	return squares / (double)(n - 2) / line->spread * (double)n / (double)sides;
}

/* The quantile of a gamma distribution that lies z deviations from its middle (Wilson and Hilferty's cube root). */
static double gamma_quantile(double mean, double variance, double z)
{
	if (!(variance > 0))
		return mean;
	const double ninth = 1 / (9 * mean * mean / variance);
	const double root = 1 - ninth + z * sqrt(ninth);
	return root > 0 ? mean * root * root * root : 0;
}

/* Below: of what was counted. Above: one sample more may as well have been there. */
static void bound(const struct cprof_slope_point *points, size_t n, const struct line *line,
		  double counted, double scatter, struct cprof_slope *slope)
{
	const double one = largest_part(points, n, line);
	if (slope->value > 0) {
		slope->low = gamma_quantile(slope->value, counted, -Z) - Z * sqrt(scatter);
		slope->high = gamma_quantile(slope->value + one, counted + one * one, Z) +
			      Z * sqrt(scatter);
	} else {
		slope->low = slope->value - Z * slope->error;
		slope->high = slope->value + one + Z * sqrt(counted + one * one + scatter);
	}
}

bool cprof_slope_fit(const struct cprof_slope_point *points, size_t n, bool turnover,
		     struct cprof_slope *ret_slope)
{
	struct line line;
	if (n < 2 || !lay_line(points, n, &line))
		return false;
	double counted = variance_of_changes(points, n, &line);
	if (turnover)
		counted += variance_of_values(points, n, &line);
	/* What comes and goes at random does not lie on a line either: that much is counted already. */
	const double scatter = fmax(0, variance_of_scatter(points, n, &line) - counted);
	*ret_slope = (struct cprof_slope){ .value = line.slope, .error = sqrt(counted + scatter) };
	bound(points, n, &line, counted, scatter, ret_slope);
	return true;
}
