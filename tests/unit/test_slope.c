/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/slope.h"

#include <math.h>

#include "tests/unit/test.h"

#define POINTS 31

static unsigned random_state;

static double some(void)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) / 0x1p24;
}

/* How many events of a Poisson process with this mean. */
static unsigned poisson(double mean)
{
	unsigned n = 0;
	for (double product = some(); product > exp(-mean); product *= some())
		n++;
	return n;
}

TEST(slope_of_a_line_is_its_own)
{
	struct cprof_slope_point points[POINTS];
	struct cprof_slope slope;
	for (int i = 0; i < POINTS; i++)
		points[i] =
			(struct cprof_slope_point){ .at = i, .value = 5 + 3 * i, .samples = 1e12 };
	CHECK(cprof_slope_fit(points, POINTS, false, &slope));
	CHECK(fabs(slope.value - 3) < 1e-9);
	CHECK(slope.error < 1e-6);
	CHECK(fabs(slope.low - 3) < 1e-6 && slope.high > 3);
}

TEST(slope_needs_two_moments)
{
	const struct cprof_slope_point same[2] = { { 1, 2, 1 }, { 1, 3, 1 } };
	const struct cprof_slope_point two[2] = { { 1, 2, 1 }, { 2, 3, 1 } };
	struct cprof_slope slope;
	CHECK(!cprof_slope_fit(same, 2, false, &slope));
	CHECK(!cprof_slope_fit(two, 1, false, &slope));
	CHECK(cprof_slope_fit(two, 2, false, &slope));
	CHECK(fabs(slope.value - 1) < 1e-9);
}

/* `mean` sampled blocks come between two moments and stay. How often is the true slope below `low`, or above `high`? */
static void count_misses(double mean, unsigned runs, unsigned *below, unsigned *above)
{
	*below = *above = 0;
	random_state = 4711;
	for (unsigned run = 0; run < runs; run++) {
		struct cprof_slope_point points[POINTS] = { { 0 } };
		struct cprof_slope slope;
		for (int i = 1; i < POINTS; i++) {
			points[i].at = i;
			points[i].samples = points[i - 1].samples + poisson(mean);
			points[i].value = points[i].samples * 1000;
		}
		CHECK(cprof_slope_fit(points, POINTS, false, &slope));
		*below += mean * 1000 < slope.low;
		*above += mean * 1000 > slope.high;
	}
}

/* 99 % are meant. Where no block was met in most runs, nothing can be said of what was missed. */
TEST(slope_of_a_leak_is_within_its_bounds_in_99_of_100_cases)
{
	static const double means[] = { 0.3, 1, 3, 10 };
	for (size_t i = 0; i < sizeof(means) / sizeof(means[0]); i++) {
		unsigned below, above;
		count_misses(means[i], 2000, &below, &above);
		CHECK(below <= 30);
		CHECK(above <= 60);
	}
}

/* A level that is kept while blocks come and go: 40 to 60 of them, each moment others. */
TEST(slope_of_a_level_is_rarely_sure)
{
	unsigned sure = 0;
	random_state = 815;
	for (unsigned run = 0; run < 2000; run++) {
		struct cprof_slope_point points[POINTS] = { { 0 } };
		struct cprof_slope slope;
		for (int i = 0; i < POINTS; i++) {
			points[i].at = i;
			points[i].samples = poisson(50);
			points[i].value = points[i].samples * 1000;
		}
		CHECK(cprof_slope_fit(points, POINTS, false, &slope));
		sure += slope.low > 0;
	}
	CHECK(sure <= 40);
}

/*
 * What a minute's run has: at its middle two thirds of `mean` sampled blocks are old, then so many come and stay. In how many of 1,000 runs is the
 * leak sure? `-leaks` chooses its rate by this: 1 MiB a minute at 16 KiB are 32.
 */
static unsigned count_found(double mean)
{
	unsigned found = 0;
	random_state = 42;
	for (unsigned run = 0; run < 1000; run++) {
		struct cprof_slope_point points[POINTS] = { { 0 } };
		struct cprof_slope slope;
		for (int i = 0; i < POINTS; i++) {
			points[i].at = i;
			points[i].samples = i ? points[i - 1].samples + poisson(mean / (POINTS - 1))
					      : poisson(mean * 2 / 3);
			points[i].value = points[i].samples * 1000;
		}
		CHECK(cprof_slope_fit(points, POINTS, false, &slope));
		found += slope.low > 0;
	}
	return found;
}

TEST(slope_of_a_leak_is_sure_by_its_number_of_samples)
{
	static const struct {
		double mean;
		unsigned least, most;
	} rows[] = { { 4, 40, 120 },
		     { 8, 450, 600 },
		     { 16, 940, 1000 },
		     { 21, 990, 1000 },
		     { 32, 999, 1000 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const unsigned found = count_found(rows[i].mean);
		CHECK(found >= rows[i].least && found <= rows[i].most);
	}
}

/* `level` blocks on the mean, of which this part goes between two moments, and as many come. How many of 1,000 runs are sure to grow? */
static unsigned count_false(double level, double part)
{
	unsigned sure = 0;
	random_state = 99;
	for (unsigned run = 0; run < 1000; run++) {
		struct cprof_slope_point points[POINTS];
		struct cprof_slope slope;
		unsigned n = poisson(level);
		for (int i = 0; i < POINTS; i++) {
			unsigned gone = 0;
			for (unsigned k = 0; i && k < n; k++)
				gone += some() < part;
			n += i ? poisson(level * part) - gone : 0;
			points[i] = (struct cprof_slope_point){ i, n * 1000.0, n };
		}
		CHECK(cprof_slope_fit(points, POINTS, false, &slope));
		sure += slope.low > 0;
	}
	return sure;
}

/* 1 % are meant: a pool of blocks that live longer than the run's quarter, and wanders. */
TEST(slope_of_old_blocks_that_come_and_go_is_sure_in_one_case_of_a_hundred_at_most)
{
	static const double levels[] = { 1, 3, 10, 50, 200 }, parts[] = { 0.02, 0.1, 0.3, 1 };
	for (size_t i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		for (size_t k = 0; k < sizeof(parts) / sizeof(parts[0]); k++)
			CHECK(count_false(levels[i], parts[k]) <= 10);
}

/* What swings is not what grows: two and a half saw teeth. */
TEST(slope_of_a_swing_is_not_sure)
{
	for (int phase = 0; phase < 12; phase++) {
		struct cprof_slope_point points[POINTS];
		struct cprof_slope slope;
		for (int i = 0; i < POINTS; i++)
			points[i] = (struct cprof_slope_point){ i, (i + phase) % 12 * 1e6,
								(i + phase) % 12 * 1000 };
		CHECK(cprof_slope_fit(points, POINTS, false, &slope));
		CHECK(slope.low <= 0);
	}
}

/* As of a program that stood still for the last seconds: by its slope it is the larger one. */
TEST(slope_of_one_step_is_not_steady)
{
	struct cprof_slope_point step[POINTS], leak[POINTS];
	struct cprof_slope of_step, of_leak;
	for (int i = 0; i < POINTS; i++) {
		const double last = i == POINTS - 1;
		step[i] = (struct cprof_slope_point){ i, last * 3e6, last * 69 };
		leak[i] = (struct cprof_slope_point){ i, i * 16e3, i };
	}
	CHECK(cprof_slope_fit(step, POINTS, false, &of_step));
	CHECK(cprof_slope_fit(leak, POINTS, false, &of_leak));
	CHECK(of_step.value > of_leak.value && of_step.low < 0);
	CHECK(of_step.steady < of_leak.steady && of_leak.steady > 10e3);
}
