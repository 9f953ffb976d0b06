/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/leaks.h"

#include <math.h>
#include <string.h>

#include "convert/output/format_table.h"
#include "convert/profile/heap_age.h"
#include "convert/profile/heap_series.h"
#include "cprof/merge.h"
#include "tests/unit/test.h"

#define SECOND 1000000000ll

/* A profile with these types, and two stacks of a function each. */
static struct cprof_profile *new_profile(const char *const types[], size_t n)
{
	static const char *const names[] = { "grows", "stays" };
	struct cprof_profile *p;
	CHECK(!cprof_profile_new(&p));
	for (size_t i = 0; i < n; i++)
		CHECK(!cprof_profile_add_type(p, types[i], i % 2 ? "bytes" : "count"));
	for (uint32_t i = 0; i < 2; i++) {
		struct cprof_function function = { 0 };
		CHECK(!cprof_profile_string(p, names[i], &function.name));
		CHECK(!cprof_profile_add_function(p, &function, NULL));
		CHECK(!cprof_profile_add_location(p, &(struct cprof_location){ .address = 16 + i },
						  &(struct cprof_line){ .function = i }, 1, NULL));
	}
	return p;
}

static void add(struct cprof_profile *p, uint32_t stack, const char *age, int64_t ms,
		const int64_t *values)
{
	struct cprof_label labels[2] = { { .num = ms, .is_num = true } };
	CHECK(!cprof_profile_string(p, CPROF_HEAP_MOMENT, &labels[0].key));
	CHECK(!cprof_profile_string(p, CPROF_HEAP_MOMENT_UNIT, &labels[0].text));
	CHECK(!cprof_profile_string(p, CPROF_HEAP_AGE, &labels[1].key));
	CHECK(!cprof_profile_string(p, age ? age : "", &labels[1].text));
	CHECK(!cprof_profile_add_sample(p, &stack, 1, labels, age ? 2 : 1, values));
}

static struct cprof_error *look(struct cprof_profile *p, struct cprof_leaks *leaks,
				struct cprof_report **report)
{
	struct cprof_config config;
	CHECK(!cprof_config_init(&config));
	CHECK(!cprof_report_new(p, &cprof_format_leaks, NULL, &config, report));
	return cprof_leaks_init(leaks, *report);
}

/* 61 moments of a minute: one stack's old blocks grow by a kilobyte a second, another's are level, young ones swing. */
TEST(leaks_are_told_from_the_old_blocks_of_the_second_half)
{
	static const char *const types[] = { CPROF_HEAP_HISTORY_SAMPLES, CPROF_HEAP_HISTORY_SPACE };
	struct cprof_profile *p = new_profile(types, 2);
	struct cprof_leaks leaks;
	struct cprof_report *report;
	for (int s = 0; s <= 60; s++) {
		add(p, 0, "10s-1m", s * 1000, (int64_t[]){ s, 1000 * s });
		add(p, 1, "10s-1m", s * 1000, (int64_t[]){ 50, 50000 });
		add(p, 1, "0-1s", s * 1000, (int64_t[]){ s * s, 1000 * s * s });
	}
	CHECK(!look(p, &leaks, &report));
	CHECK_UINT(leaks.n_moments, 61);
	CHECK_UINT(leaks.first, 30);
	CHECK(leaks.ages && leaks.old_s == 10);
	CHECK_UINT(leaks.n, 2);
	CHECK_UINT(leaks.n_grow, 1);
	CHECK_UINT(leaks.n_sure, 1);
	CHECK(fabs(leaks.rows[0].slope.value - 1000) < 1e-6);
	CHECK(leaks.rows[0].slope.low > 300 && leaks.rows[0].slope.low < 1000);
	CHECK(leaks.rows[0].old == 60000 && leaks.rows[0].samples == 60);
	CHECK(leaks.rows[1].old == 50000 && leaks.rows[1].inuse == 3650000);
	CHECK(fabs(leaks.whole.slope.value - 1000) < 1e-6);
	cprof_leaks_deinit(&leaks);
	cprof_report_free(report);
	cprof_profile_free(p);
}

static void add_of(struct cprof_profile *p, int64_t pid, int64_t ms, int64_t bytes)
{
	struct cprof_label labels[3] = { { .num = ms, .is_num = true },
					 { 0 },
					 { .num = pid, .is_num = true } };
	CHECK(!cprof_profile_string(p, CPROF_HEAP_MOMENT, &labels[0].key));
	CHECK(!cprof_profile_string(p, CPROF_HEAP_AGE, &labels[1].key));
	CHECK(!cprof_profile_string(p, "10s-1m", &labels[1].text));
	CHECK(!cprof_profile_string(p, "pid", &labels[2].key));
	CHECK(!cprof_profile_add_sample(p, &(uint32_t){ 0 }, 1, labels, 3,
					(int64_t[]){ bytes / 1000, bytes }));
}

TEST(leaks_of_several_processes_are_told_apart_though_their_moments_differ)
{
	static const char *const types[] = { CPROF_HEAP_HISTORY_SAMPLES, CPROF_HEAP_HISTORY_SPACE };
	struct cprof_profile *p = new_profile(types, 2);
	struct cprof_leaks leaks;
	struct cprof_report *report;
	for (int s = 1; s <= 60; s++) {
		add_of(p, 7, s * 1000, 1000000);
		add_of(p, 8, s * 1000 + 3, 5000 * s);
	}
	CHECK(!look(p, &leaks, &report));
	CHECK_UINT(leaks.n_processes, 2);
	CHECK_UINT(leaks.n_moments, 120);
	CHECK_UINT(leaks.n, 2);
	CHECK_UINT(leaks.n_grow, 1);
	CHECK(leaks.processes[leaks.rows[0].process] == 8);
	CHECK(fabs(leaks.rows[0].slope.value - 5000) < 50 && leaks.rows[0].slope.low > 3000);
	CHECK(fabs(leaks.whole.slope.value - 5000) < 50);
	CHECK(leaks.whole.old == 1300000);
	cprof_leaks_deinit(&leaks);
	cprof_report_free(report);
	cprof_profile_free(p);
}

/* A few may be old because the program got no processor for a while: what it would have freed has grown old. */
TEST(leaks_are_not_sure_by_a_few_blocks)
{
	static const char *const types[] = { CPROF_HEAP_HISTORY_SAMPLES, CPROF_HEAP_HISTORY_SPACE };
	static const int blocks[] = { 1, 2, 3, 20 };
	for (size_t i = 0; i < sizeof(blocks) / sizeof(blocks[0]); i++) {
		struct cprof_profile *p = new_profile(types, 2);
		struct cprof_leaks leaks;
		struct cprof_report *report;
		for (int s = 0; s <= 60; s++) {
			const int old = s + blocks[i] - 60;
			add(p, 0, old > 0 ? "10s-1m" : "0-1s", s * 1000,
			    (int64_t[]){ old > 0 ? old : 1, old > 0 ? old * 100000 : 100000 });
		}
		CHECK(!look(p, &leaks, &report));
		CHECK_UINT(leaks.n_grow, 1);
		CHECK(leaks.rows[0].samples == blocks[i]);
		CHECK_UINT(leaks.n_sure, blocks[i] == 20);
		cprof_leaks_deinit(&leaks);
		cprof_report_free(report);
		cprof_profile_free(p);
	}
}

TEST(leaks_need_a_history_that_is_long_enough)
{
	static const char *const plain[] = { "inuse_objects", "inuse_space" };
	static const char *const types[] = { CPROF_HEAP_HISTORY_SAMPLES, CPROF_HEAP_HISTORY_SPACE };
	static const struct {
		const char *const *types;
		int64_t ms[4]; /* -1: no more */
		const char *want;
	} cases[] = {
		{ plain, { 0, 1000, 2000, -1 }, "has no history" },
		{ types, { 5, -1 }, "too short: 1 moment," },
		{ types, { 0, 1000, 2000, -1 }, "too short: 2 moments in the second half of 2 s" },
		{ types, { INT64_MAX, INT64_MIN, -5, -1 }, "too short: 0 moments," },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_profile *p = new_profile(cases[i].types, 2);
		struct cprof_leaks leaks;
		struct cprof_report *report;
		for (size_t at = 0; cases[i].ms[at] != -1; at++)
			add(p, 0, "0-1s", cases[i].ms[at], (int64_t[]){ 1, 1 });
		struct cprof_error *err = look(p, &leaks, &report);
		CHECK(err && strstr(err->message, cases[i].want));
		cprof_error_free(err);
		cprof_leaks_deinit(&leaks);
		cprof_report_free(report);
		cprof_profile_free(p);
	}
}

static struct cprof_profile *heap_of(int64_t time_s, int64_t objects)
{
	static const char *const types[] = { "alloc_objects", "alloc_space", "inuse_objects",
					     "inuse_space" };
	struct cprof_profile *p = new_profile(types, 4);
	p->time_ns = time_s * SECOND;
	p->duration_ns = SECOND;
	CHECK(!cprof_profile_set_period(p, "space", "bytes", 512));
	add(p, 0, NULL, 0, (int64_t[]){ 9, 9, objects, objects * 512 });
	add(p, 1, NULL, 0, (int64_t[]){ 9, 9, 0, 0 });
	return p;
}

TEST(leaks_of_several_files_are_a_series_of_their_ends)
{
	struct cprof_profile *files[3] = { heap_of(2000, 3000), heap_of(1000, 2000),
					   heap_of(3000, 4000) };
	struct cprof_profile *merged;
	struct cprof_leaks leaks;
	struct cprof_report *report;
	for (int i = 0; i < 3; i++) {
		int64_t ms;
		const int64_t want = (files[i]->time_ns + SECOND) / 1000000;
		CHECK(!cprof_heap_series_moment(&files[i], &ms));
		CHECK(ms == want);
	}
	/* 1 - exp(-1) of the blocks were sampled. */
	CHECK(files[0]->n_samples == 1 && files[0]->values[1] == 1896);
	CHECK(!cprof_merge(files, 3, &merged));
	CHECK(!look(merged, &leaks, &report));
	CHECK(!leaks.ages && leaks.old_s == 0);
	CHECK_UINT(leaks.n_moments, 3);
	CHECK(leaks.moments[0] == 0 && leaks.moments[2] == 2000);
	CHECK_UINT(leaks.n, 1);
	CHECK(fabs(leaks.rows[0].slope.value - 512) < 1e-6);
	CHECK(leaks.rows[0].slope.low > 400 && leaks.rows[0].slope.low < 512);
	cprof_leaks_deinit(&leaks);
	cprof_report_free(report);
	cprof_profile_free(merged);
}

TEST(leaks_of_several_files_need_heap_profiles_with_a_time)
{
	static const char *const types[] = { "samples", "cpu" };
	struct cprof_profile *other = new_profile(types, 2), *timeless = heap_of(0, 1),
			     *overflowing = heap_of(1, 1);
	overflowing->duration_ns = INT64_MAX;
	struct cprof_profile *bad[] = { other, timeless, overflowing };
	static const char *const want[] = { "no heap profile", "when it was taken",
					    "when it was taken" };
	for (size_t i = 0; i < 3; i++) {
		int64_t ms;
		struct cprof_error *err = cprof_heap_series_moment(&bad[i], &ms);
		CHECK(err && strstr(err->message, want[i]));
		cprof_error_free(err);
		cprof_profile_free(bad[i]);
	}
}
