/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_history.h"

#include <string.h>

#include "attach/heap/heap_since.h"
#include "convert/profile/heap_age.h"
#include "tests/unit/test.h"

#define SECOND 1000000000ull

static void add(struct cprof_heap_profile *profile, struct cprof_map64 *alive, uint64_t id,
		uint64_t size, uint32_t stack)
{
	CHECK(!cprof_heap_profile_add(profile, id, size, 1, stack));
	CHECK(cprof_map64_put(alive, id, NULL) != NULL);
}

TEST(heap_ages_have_a_text_for_every_age)
{
	static const struct {
		uint64_t age_ns;
		const char *text;
	} cases[] = { { 0, "0-1s" },
		      { SECOND - 1, "0-1s" },
		      { SECOND, "1-10s" },
		      { 10 * SECOND, "10s-1m" },
		      { 60 * SECOND, "1-10m" },
		      { 600 * SECOND, "10m-1h" },
		      { 3600 * SECOND, ">1h" },
		      { UINT64_MAX, ">1h" } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const unsigned age = cprof_heap_age_of(cases[i].age_ns);
		CHECK_STR(cprof_heap_ages[age].text, cases[i].text);
		CHECK_UINT(cprof_heap_age_find(cases[i].text), age);
	}
	CHECK_UINT(cprof_heap_age_find(""), CPROF_HEAP_AGES);
	CHECK_UINT(cprof_heap_age_find("2s"), CPROF_HEAP_AGES);
}

TEST(heap_history_tells_stacks_and_ages_apart)
{
	struct cprof_heap_profile profile = { 0 };
	struct cprof_map64 alive = { 0 };
	struct cprof_heap_history history = { .every_ns = SECOND };
	add(&profile, &alive, 1, 100, 7);
	add(&profile, &alive, 2, 50, 8);
	profile.now_ns = 5 * SECOND;
	add(&profile, &alive, 3, 10, 7);
	CHECK(!cprof_heap_profile_add(&profile, 4, 1000, 1, 7)); /* it was freed at once */
	CHECK(!cprof_heap_history_take(&history, &profile, &alive, 5 * SECOND + SECOND / 2));
	CHECK_UINT(history.n, 1);
	CHECK_UINT(history.moments[0].n, 3);
	CHECK_UINT(history.due_ns, 6 * SECOND + SECOND / 2);
	const struct cprof_heap_share *shares = history.moments[0].shares;
	CHECK(shares[0].stack == 7 && shares[0].age == 1 && shares[0].bytes == 100);
	CHECK(shares[1].stack == 8 && shares[1].age == 1 && shares[1].bytes == 50);
	CHECK(shares[2].stack == 7 && shares[2].age == 0 && shares[2].bytes == 10);
	cprof_heap_history_deinit(&history);
	cprof_map64_deinit(&alive);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_history_never_grows_and_covers_the_whole_run)
{
	struct cprof_heap_profile profile = { 0 };
	struct cprof_map64 alive = { 0 };
	struct cprof_heap_history history = { .every_ns = SECOND };
	add(&profile, &alive, 1, 100, 7);
	for (uint64_t s = 0; s < 10000; s++) {
		if (s * SECOND >= history.due_ns)
			CHECK(!cprof_heap_history_take(&history, &profile, &alive, s * SECOND));
	}
	CHECK(history.n > CPROF_HEAP_HISTORY_MOMENTS / 2 &&
	      history.n <= CPROF_HEAP_HISTORY_MOMENTS);
	CHECK_UINT(history.moments[0].at_ns, 0);
	CHECK(history.moments[history.n - 1].at_ns > 9000 * SECOND);
	const uint64_t apart = history.moments[1].at_ns;
	for (size_t i = 1; i < history.n; i++)
		CHECK_UINT(history.moments[i].at_ns - history.moments[i - 1].at_ns, apart);
	CHECK_UINT(history.n_shares, history.n);
	cprof_heap_history_deinit(&history);
	cprof_map64_deinit(&alive);
	cprof_heap_profile_deinit(&profile);
}

TEST(heap_since_takes_off_what_was_there)
{
	struct cprof_heap_profile profile = { .now_ns = 3 * SECOND };
	struct cprof_map64 alive = { 0 }, later = { 0 };
	struct cprof_heap_since since = { 0 };
	add(&profile, &alive, 1, 100, 7);
	add(&profile, &alive, 2, 100, 7);
	CHECK(!cprof_heap_since_mark(&since, &profile, &alive));
	CHECK_UINT(since.n_rows, 1);
	CHECK(since.rows[0].inuse.bytes == 200 && since.all.alloc.bytes == 200);
	/* Of the same moment, but read after it. */
	profile.now_ns = cprof_heap_since_clock(&since, 3 * SECOND);
	add(&profile, &later, 3, 100, 7);
	add(&profile, &later, 4, 10, 8);
	CHECK(cprof_heap_since_older(&since, &profile.blocks[0]));
	CHECK(!cprof_heap_since_older(&since, &profile.blocks[2]));
	CHECK(cprof_heap_since_row(&since, 0).alloc.bytes == 200);
	CHECK(cprof_heap_since_row(&since, 1).alloc.bytes == 0);
	CHECK_UINT(cprof_heap_since_clock(&since, 4 * SECOND), 4 * SECOND);
	cprof_heap_since_deinit(&since);
	cprof_map64_deinit(&alive);
	cprof_map64_deinit(&later);
	cprof_heap_profile_deinit(&profile);
}
