/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_weight.h"
#include "attach/perf/perf_counter.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#define MS 1000000ull

TEST(a_count_of_a_part_of_the_time_stands_for_all_of_it)
{
	CHECK_UINT(cprof_perf_counter_whole(100, 10, 10), 100);
	CHECK_UINT(cprof_perf_counter_whole(100, 40, 10), 400);
	CHECK_UINT(cprof_perf_counter_whole(1, 3, 2), 2);
	CHECK_UINT(cprof_perf_counter_whole(UINT64_MAX, 7, 9), UINT64_MAX);
	CHECK_UINT(cprof_perf_counter_whole(100, 40, 0), 0);
	CHECK_UINT(cprof_perf_counter_whole(0, 0, 0), 0);
}

TEST(the_period_follows_what_happens_and_samples_weigh_that_of_their_time)
{
	struct cprof_cpu_weight weight;
	uint64_t period = 0, start = 5 * CPROF_NS_PER_S;
	CHECK(!cprof_cpu_weight_init(&weight, 100, 16));
	cprof_cpu_weight_start(&weight, start);
	CHECK_UINT(cprof_cpu_weight_wait_ns(&weight, start + MS / 2), 3 * MS / 2);
	CHECK(!cprof_cpu_weight_look(&weight, start + MS, 1000000, &period)); /* too soon to say */
	CHECK(!cprof_cpu_weight_look(&weight, start + 20 * MS, 40,
				     &period)); /* 2,000 a second: 20 */
	CHECK_UINT(cprof_cpu_weight_wait_ns(&weight, start + 20 * MS), 20 * MS);
	CHECK(cprof_cpu_weight_look(&weight, start + 40 * MS, 40 + 800, &period)); /* 40,000 */
	CHECK_UINT(period, 400);
	CHECK(!cprof_cpu_weight_changed(&weight, start + 41 * MS, period));
	CHECK_UINT(cprof_cpu_weight_of(&weight, 7, start + 40 * MS), 16);
	CHECK_UINT(cprof_cpu_weight_of(&weight, 7, start + 41 * MS), 400);
	CHECK_UINT(cprof_cpu_weight_of(&weight, 7, 0), 16);
	CHECK(cprof_cpu_weight_look(&weight, start + 60 * MS, 840, &period)); /* it has ceased */
	CHECK_UINT(period, 1);
	CHECK(!cprof_cpu_weight_changed(&weight, start + 61 * MS, period));
	CHECK(!cprof_cpu_weight_look(&weight, start + 5000 * MS, 842,
				     &period)); /* rarer than wanted */
	CHECK_UINT(cprof_cpu_weight_wait_ns(&weight, start + 5000 * MS), 100 * MS);
	cprof_cpu_weight_deinit(&weight);
}

TEST(a_thread_keeps_the_period_that_it_was_created_with)
{
	struct cprof_cpu_weight weight;
	CHECK(!cprof_cpu_weight_init(&weight, 100, 16));
	CHECK(!cprof_cpu_weight_inherit(&weight, 8, 10));
	CHECK(!cprof_cpu_weight_changed(&weight, 20, 400));
	CHECK(!cprof_cpu_weight_inherit(&weight, 9, 30));
	CHECK(!cprof_cpu_weight_changed(&weight, 40, 3));
	CHECK_UINT(cprof_cpu_weight_of(&weight, 7, 50), 3);
	CHECK_UINT(cprof_cpu_weight_of(&weight, 8, 50), 16);
	CHECK_UINT(cprof_cpu_weight_of(&weight, 9, 50), 400);
	cprof_cpu_weight_deinit(&weight);
}

static struct cprof_profile *profile_of(const int64_t *weights, size_t n)
{
	struct cprof_profile *profile;
	CHECK(!cprof_profile_new(&profile));
	CHECK(!cprof_profile_add_type(profile, "samples", "count"));
	CHECK(!cprof_profile_add_type(profile, "faults", "count"));
	for (size_t i = 0; i < n; i++) {
		const int64_t values[] = { 1, weights[i] };
		CHECK(!cprof_profile_add_sample(profile, NULL, 0, NULL, 0, values));
	}
	return profile;
}

TEST(scaled_weights_add_up_to_what_was_counted_and_keep_their_shares)
{
	static const int64_t weights[] = { 400, 400, 16, 0, 1200, 7 };
	static const uint64_t totals[] = { 0, 1, 2023, 2024, 81650, 3, 1000000000007 };
	for (size_t i = 0; i < sizeof(totals) / sizeof(totals[0]); i++) {
		struct cprof_profile *profile = profile_of(weights, 6);
		uint64_t sum = 0;
		cprof_cpu_weight_scale(profile, 1, totals[i]);
		for (uint32_t k = 0; k < 6; k++) {
			int64_t value = profile->values[k * 2 + 1];
			double exact = (double)weights[k] * (double)totals[i] / 2023;
			CHECK((double)value > exact - 1.001 && (double)value < exact + 1.001);
			CHECK(profile->values[k * 2] == 1);
			sum += (uint64_t)value;
		}
		CHECK_UINT(sum, totals[i]);
		cprof_profile_free(profile);
	}
	struct cprof_profile *empty = profile_of(weights, 0);
	cprof_cpu_weight_scale(empty, 1, 5);
	cprof_profile_free(empty);
}
