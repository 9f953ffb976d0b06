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

/* What came or went: its sum, as a part of the slope, and the variance of that. */
struct changes {
	double sum, variance;
	double largest; /* part of the sum that is of one moment */
};

/*
 * Each sample that came or went between two moments changes all later values: its part in the slope is the sum of their parts. Some come while
 * others go, which is not seen of them but in how much the differences scatter, beyond what so many would by themselves.
 */
static void sum_changes(const struct cprof_slope_point *points, size_t n, const struct line *line,
			struct changes *came, struct changes *went)
{
	double part = 0, unseen = 0, seen = 0;
	const double mean = (points[n - 1].samples - points[0].samples) / (double)(n - 1);
	for (size_t i = 1; i < n; i++) {
		const double more = points[i].samples - points[i - 1].samples;
		unseen += (more - mean) * (more - mean);
		seen += fabs(more);
	}
	unseen = n > 2 ? fmax(0, unseen / (double)(n - 2) - seen / (double)(n - 1)) : 0;
	for (size_t i = n; i-- > 1;) {
		const struct cprof_slope_point *a = &points[i - 1], *b = &points[i];
		part += (b->at - line->mean_at) / line->spread;
		const double w = part * weight(a->value + b->value, a->samples + b->samples);
		const double more = b->samples - a->samples;
		struct changes *side = more > 0 ? came : went;
		side->sum += w * fabs(more);
		side->largest = fmax(side->largest, w * fabs(more));
		side->variance += w * w * fabs(more);
		came->variance += w * w * unseen / 2;
		went->variance += w * w * unseen / 2;
	}
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

/*
 * Of what came less what went (Zou and Donner, "Construction of confidence limits about effect measures", Statistics in Medicine 27,
 * 2008): the distance of either bound is made of those of the two. Where nothing was seen to go, half a sample may as well have.
 */
static void bound_changes(const struct changes *came, const struct changes *went, double one,
			  double others, struct cprof_slope *slope)
{
	const double came_low = gamma_quantile(came->sum, came->variance, -Z) - came->sum;
	const double came_high =
		gamma_quantile(came->sum + one, came->variance + one * one, Z) - came->sum;
	const double went_low = gamma_quantile(went->sum, went->variance, -Z) - went->sum;
	const double went_high =
		gamma_quantile(went->sum + one / 2, went->variance + one * one / 2, Z) - went->sum;
	slope->low =
		slope->value - sqrt(came_low * came_low + went_high * went_high) - Z * sqrt(others);
	slope->high =
		slope->value + sqrt(came_high * came_high + went_low * went_low) + Z * sqrt(others);
}

bool cprof_slope_fit(const struct cprof_slope_point *points, size_t n, bool turnover,
		     struct cprof_slope *ret_slope)
{
	struct line line;
	struct changes came = { 0 }, went = { 0 };
	if (n < 2 || !lay_line(points, n, &line))
		return false;
	sum_changes(points, n, &line, &came, &went);
	const double counted = came.variance + went.variance;
	const double own = turnover ? variance_of_values(points, n, &line) : 0;
	/* What comes and goes at random does not lie on a line either: that much is counted already. */
	const double scatter = fmax(0, variance_of_scatter(points, n, &line) - counted - own);
	*ret_slope =
		(struct cprof_slope){ .value = line.slope, .error = sqrt(counted + own + scatter) };
	ret_slope->steady = line.slope - came.largest;
	bound_changes(&came, &went, largest_part(points, n, &line), own + scatter, ret_slope);
	return true;
}
