/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/time_spans.h"
#include "tests/unit/test.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>

#define MS 1000000ull

static struct cprof_time_spans new_spans(uint64_t step_ms)
{
	return (struct cprof_time_spans){ .zero_ns = 5 * MS, .step_ns = step_ms * MS };
}

static void add(struct cprof_time_spans *spans, uint32_t key, uint64_t from_ms, uint64_t to_ms,
		double value)
{
	CHECK(!cprof_time_spans_add(spans, key, (5 + from_ms) * MS, (5 + to_ms) * MS, &value, 1));
}

static double sum(const struct cprof_time_spans *spans, uint32_t key, uint64_t from_ms,
		  uint64_t to_ms)
{
	double all = 0;
	for (size_t i = 0; i < spans->n; i++) {
		if (spans->spans[i].key == key)
			all += spans->spans[i].values[0] * cprof_time_span_part(&spans->spans[i],
										(5 + from_ms) * MS,
										(5 + to_ms) * MS);
	}
	return all;
}

TEST(time_spans_rounds_steps_to_1_2_5)
{
	static const struct {
		uint64_t ns, want_ms;
	} rows[] = {
		{ 0, 1 },         { MS, 1 },         { MS + 1, 2 },     { 2 * MS, 2 },
		{ 3 * MS, 5 },    { 5 * MS, 5 },     { 6 * MS, 10 },    { 11 * MS, 20 },
		{ 99 * MS, 100 }, { 100 * MS, 100 }, { 101 * MS, 200 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		CHECK_UINT(cprof_time_spans_round(rows[i].ns), rows[i].want_ms * MS);
	CHECK(cprof_time_spans_round(UINT64_MAX) > UINT64_MAX / 32);
}

TEST(time_spans_keeps_a_step_that_was_asked_for)
{
	struct cprof_time_spans spans = new_spans(30);
	CHECK(!cprof_time_spans_widen(&spans, 30 * MS));
	CHECK(!cprof_time_spans_widen(&spans, 20 * MS));
	CHECK_UINT(spans.step_ns, 30 * MS);
	CHECK(!cprof_time_spans_widen(&spans, 31 * MS));
	CHECK_UINT(spans.step_ns, 50 * MS);
	cprof_time_spans_deinit(&spans);
}

TEST(time_spans_joins_what_is_of_one_key_and_step)
{
	struct cprof_time_spans spans = new_spans(10);
	add(&spans, 1, 0, 2, 2);
	add(&spans, 1, 5, 6, 9);
	add(&spans, 2, 5, 6, 1);
	add(&spans, 1, 9, 9, 1); /* a moment */
	add(&spans, 1, 10, 11, 1);
	CHECK_UINT(spans.n, 3);
	CHECK(sum(&spans, 1, 0, 10) == 12 && sum(&spans, 1, 10, 20) == 1);
	CHECK(sum(&spans, 2, 0, 100) == 1);
	cprof_time_spans_deinit(&spans);
}

TEST(time_spans_takes_what_goes_on_evenly_for_one_however_long)
{
	struct cprof_time_spans spans = new_spans(10);
	for (uint64_t at = 0; at < 100000; at++)
		add(&spans, 1, at, at + 1, 3);
	CHECK_UINT(spans.n, 1);
	CHECK(fabs(sum(&spans, 1, 0, 50000) - 150000) < 1e-3);
	add(&spans, 1, 100000, 100001, 4); /* not as much as before */
	CHECK_UINT(spans.n, 2);
	cprof_time_spans_deinit(&spans);
}

TEST(time_spans_cuts_a_long_one_where_it_shares_its_steps)
{
	struct cprof_time_spans spans = new_spans(10);
	add(&spans, 1, 2, 3, 1);
	add(&spans, 1, 8, 53, 45);
	add(&spans, 1, 57, 58, 1);
	CHECK_UINT(spans.n, 3);
	CHECK(fabs(sum(&spans, 1, 0, 100) - 47) < 1e-9);
	CHECK(fabs(sum(&spans, 1, 10, 50) - 40) < 1e-9);
	CHECK(fabs(sum(&spans, 1, 20, 21) - 1) < 1e-9);
	cprof_time_spans_deinit(&spans);
}

TEST(time_spans_becomes_wider_where_there_are_too_many_and_keeps_its_sums)
{
	struct cprof_time_spans spans = new_spans(1);
	spans.full = 500;
	uint64_t seed = 1;
	double all = 0;
	for (uint64_t at = 0; at < 20000; at++) {
		seed = seed * 6364136223846793005u + 1442695040888963407u;
		add(&spans, (uint32_t)(seed >> 62), at, at + (seed >> 40) % 3, 1);
		all += 1;
	}
	CHECK(spans.n <= 500 + 3);
	CHECK(spans.step_ns >= 100 * MS);
	double got = 0;
	for (uint32_t key = 0; key < 4; key++)
		got += sum(&spans, key, 0, 30000);
	CHECK(fabs(got - all) < 1e-6 * all);
	cprof_time_spans_deinit(&spans);
}

static uint32_t odd_only(const void *ctx, uint32_t key)
{
	(void)ctx;
	return key % 2 ? key / 2 : UINT32_MAX;
}

TEST(time_spans_forgets_what_is_over_and_renames_what_stays)
{
	struct cprof_time_spans spans = new_spans(10);
	for (uint32_t key = 0; key < 4; key++) {
		add(&spans, key, 0, 5, 1);
		add(&spans, key, 100, 105, 2);
	}
	CHECK(!cprof_time_spans_keep(&spans, 50 * MS, odd_only, NULL));
	CHECK_UINT(spans.n, 2);
	CHECK(sum(&spans, 0, 0, 1000) == 2 && sum(&spans, 1, 0, 1000) == 2);
	add(&spans, 1, 105, 106, 7);
	CHECK_UINT(spans.n, 2);
	cprof_time_spans_deinit(&spans);
}

TEST(time_spans_knows_what_part_of_a_span_lies_where)
{
	static const struct {
		uint64_t from, to, low, high;
		double want;
	} rows[] = {
		{ 10, 20, 0, 100, 1 }, { 10, 20, 10, 20, 1 }, { 10, 20, 15, 100, 0.5 },
		{ 10, 20, 0, 10, 0 },  { 10, 20, 20, 30, 0 }, { 10, 20, 12, 13, 0.1 },
		{ 10, 10, 10, 11, 1 }, { 10, 10, 11, 12, 0 }, { 10, 10, 0, 10, 0 },
		{ 10, 20, 30, 5, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_time_span span = { .from_ns = rows[i].from,
						      .to_ns = rows[i].to };
		CHECK(fabs(cprof_time_span_part(&span, rows[i].low, rows[i].high) - rows[i].want) <
		      1e-9);
	}
}
