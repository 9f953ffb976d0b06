/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_profile.h"

#include <math.h>

#include "attach/heap/alloc/alloc_family.h"
#include "attach/run/sample_pace.h"
#include "tests/unit/test.h"

/* Numbers of stacks. */
enum { stack_a, stack_b };

static void add(struct cprof_heap_profile *profile, uint64_t id, uint64_t size, uint64_t period,
		uint32_t stack)
{
	CHECK(!cprof_heap_profile_add(profile, id, size, period, stack));
}

TEST(heap_profile_unsamples_each_sample_with_its_own_period)
{
	struct cprof_heap_profile profile = { 0 };
	add(&profile, 1, 1000, 1000, stack_a);
	add(&profile, 2, 1000, 500000, stack_a);
	double p = 1 - exp(-1.0), q = 1 - exp(-1000.0 / 500000);
	CHECK_UINT(profile.n_rows, 1);
	CHECK(fabs(profile.rows[0].alloc.objects - (1 / p + 1 / q)) < 1e-9);
	CHECK(fabs(profile.alloc.bytes - (1000 / p + 1000 / q)) < 1e-6);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_profile_counts_every_call_as_it_is_with_period_1)
{
	struct cprof_heap_profile profile = { 0 };
	for (uint64_t i = 0; i < 100; i++)
		add(&profile, i, i, 1, i % 2 ? stack_a : stack_b);
	CHECK_UINT(profile.alloc.samples, 100);
	CHECK(profile.alloc.bytes == 99 * 100 / 2);
	CHECK(profile.alloc.objects == 100);
	CHECK(cprof_heap_error95(&profile.alloc) == 0);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_profile_keeps_stacks_and_sizes_apart)
{
	struct cprof_heap_profile profile = { 0 };
	add(&profile, 1, 64, 1, stack_a);
	add(&profile, 2, 64, 1, stack_b);
	add(&profile, 3, 128, 1, stack_a);
	add(&profile, 4, 64, 1, stack_a);
	CHECK_UINT(profile.n_rows, 3);
	CHECK(profile.rows[0].alloc.objects == 2);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_profile_in_use_is_what_lives)
{
	struct cprof_heap_profile profile = { 0 };
	struct cprof_map64 alive = { 0 };
	add(&profile, 1, 100, 1, stack_a);
	add(&profile, 2, 200, 1, stack_b);
	add(&profile, 3, 300, 1, stack_b);
	cprof_map64_put(&alive, 1, NULL);
	cprof_map64_put(&alive, 3, NULL);
	cprof_heap_profile_settle(&profile, &alive);
	CHECK(profile.inuse.bytes == 400);
	CHECK(profile.rows[0].inuse.bytes == 100);
	CHECK(profile.rows[1].inuse.bytes == 0);
	CHECK(profile.alloc.bytes == 600);
	cprof_heap_profile_settle(&profile, &alive); /* a second time is the same */
	CHECK(profile.inuse.bytes == 400);
	cprof_map64_deinit(&alive);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_profile_ignores_what_cannot_be)
{
	struct cprof_heap_profile profile = { 0 };
	add(&profile, 1, 100, 0, stack_a);
	add(&profile, 2, 0, 524288, stack_a);
	add(&profile, 3, UINT64_MAX, 524288, stack_a);
	add(&profile, 4, (1ull << 47) + 1, 1, stack_a);
	add(&profile, 5, 100, 1ull << 63, stack_a);
	CHECK_UINT(profile.absurd, 5);
	CHECK_UINT(profile.n_rows, 0);
	cprof_heap_profile_deinit(&profile);
}

/* Exponential gaps over a stream of blocks: the estimate is right on average, and its error as large as said. */
TEST(heap_profile_estimates_are_unbiased_and_so_are_their_errors)
{
	const uint64_t period = 4096;
	double sum = 0, inside = 0;
	uint64_t state = 88172645463325252ull;
	const int runs = 400;
	for (int run = 0; run < runs; run++) {
		struct cprof_heap_profile profile = { 0 };
		double left = 0, truth = 0;
		bool armed = false;
		for (int i = 0; i < 2000; i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			uint64_t size = 16 + (state >> 20) % 3000;
			if (!armed)
				left = -log1p(-(double)(state >> 11) * 0x1p-53) * (double)period;
			armed = true;
			truth += (double)size;
			if ((double)size <= left) {
				left -= (double)size;
				continue;
			}
			add(&profile, (uint64_t)i, size, period, stack_a);
			armed = false;
		}
		sum += profile.alloc.bytes / truth;
		inside += fabs(profile.alloc.bytes - truth) <= cprof_heap_error95(&profile.alloc);
		cprof_heap_profile_deinit(&profile);
	}
	/* One run's deviation is about 3.5 %; of the mean of 400 it is 0.2 %. */
	CHECK(fabs(sum / runs - 1) < 0.01);
	CHECK(inside / runs > 0.91 && inside / runs < 0.985);
}

TEST(alloc_family_knows_names_and_prefixes)
{
	size_t prefix;
	/* clang-format off */
	static const struct { const char *name; int kind; } rows[] = {
		{ "malloc", CPROF_SHIM_ARG0 }, { "je_malloc", CPROF_SHIM_ARG0 }, { "_rjem_mallocx", CPROF_SHIM_ARG0 },
		{ "__libc_free", CPROF_SHIM_FREE }, { "mi_realloc", CPROF_SHIM_REALLOC }, { "_Znwm", CPROF_SHIM_ARG0 },
		{ "_ZdlPvm", CPROF_SHIM_FREE }, { "posix_memalign", CPROF_SHIM_POSIX_MEMALIGN },
		{ "je__Znwm", -1 }, { "mallocs", -1 }, { "xmalloc", -1 }, { "", -1 }, { "je_", -1 }, { "reallocarrays", -1 },
		{ "reallocarray", CPROF_SHIM_POOL_REALLOC }, { "mi_heap_calloc", CPROF_SHIM_POOL },
		{ "xallocx", CPROF_SHIM_XALLOC }, { "mi_realloc_aligned", CPROF_SHIM_REALLOC },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_alloc_function *row =
			cprof_alloc_function_find(rows[i].name, &prefix);
		if ((row ? row->kind : -1) != rows[i].kind)
			TEST_FAIL("%s is %d", rows[i].name, row ? row->kind : -1);
	}
	CHECK(cprof_alloc_is_library("/usr/lib/libjemalloc.so.2"));
	CHECK(!cprof_alloc_is_library("/usr/lib/libc.so.6"));
}

TEST(sample_pace_raises_the_period_over_budget_and_comes_back_to_the_one_asked_for)
{
	struct cprof_sample_pace pace = { .base = 524288,
					  .period = 524288,
					  .most = 1ull << 32,
					  .budget = 0.01,
					  .sample_ns = 2500 };
	uint64_t second = 1000000000ull, samples = 0;
	CHECK(!cprof_sample_pace_next(&pace, 0, 0, second)); /* the first look says nothing */
	for (uint64_t i = 2; i < 12; i++) {
		samples += 100000ull * 524288 / pace.period; /* a constant churn */
		cprof_sample_pace_next(&pace, samples, 0, i * second);
	}
	double cost = 100000.0 * 524288 / (double)pace.period * 2.5e-6;
	CHECK(cost < 0.0101 && cost > 0.003);
	for (uint64_t i = 12; i < 40; i++)
		cprof_sample_pace_next(&pace, samples, 0, i * second); /* and then nothing */
	CHECK_UINT(pace.period, 524288);
}

TEST(heap_profile_says_when_its_sums_cannot_be_true)
{
	struct cprof_heap_profile profile = { 0 };
	struct cprof_map64 alive = { 0 };
	for (uint64_t id = 1; id <= 3; id++) {
		add(&profile, id, 1ull << 46, 1, stack_a);
		cprof_map64_put(&alive, id, NULL);
	}
	cprof_heap_profile_settle(&profile, &alive);
	CHECK(!cprof_heap_profile_plausible(&profile)); /* 1.5 times the address space */
	cprof_map64_deinit(&alive);
	cprof_map64_put(&alive, 1, NULL);
	cprof_heap_profile_settle(&profile, &alive);
	CHECK(cprof_heap_profile_plausible(&profile)); /* allocated one after the other */
	cprof_map64_deinit(&alive);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_value_never_overflows_a_profile_however_large_the_sums)
{
	CHECK_UINT(cprof_heap_value(1000.4, 2000), 1000);
	CHECK_UINT(cprof_heap_value(-1, 10), 0);
	CHECK_UINT(cprof_heap_value((double)NAN, 10), 0);
	/* Two rows that are half of the whole each. */
	CHECK_UINT(cprof_heap_value(0x1p70, 0x1p71), 1ull << 61);
	CHECK(cprof_heap_value(INFINITY, INFINITY) >= 0);
}
