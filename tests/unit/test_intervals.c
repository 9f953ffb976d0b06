/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/elf/intervals.h"
#include "tests/unit/test.h"

#define N     60
#define SPACE 200

/* The same question asked of every interval in turn. */
static uint32_t plain_search(const struct cprof_interval *all, size_t n, uint64_t addr)
{
	const struct cprof_interval *best = NULL;
	for (size_t i = 0; i < n; i++) {
		const struct cprof_interval *it = &all[i];
		if (addr < it->start || addr >= it->end)
			continue;
		if (!best || it->depth > best->depth ||
		    (it->depth == best->depth &&
		     (it->start > best->start ||
		      (it->start == best->start && it->what < best->what))))
			best = it;
	}
	return best ? best->what : CPROF_INTERVAL_NONE;
}

TEST(intervals_find_agrees_with_a_plain_search_however_ranges_overlap)
{
	uint64_t seed = 1;
	for (int round = 0; round < 300; round++) {
		struct cprof_interval all[N];
		struct cprof_intervals intervals = { 0 };
		size_t n = (size_t)round % N;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 6364136223846793005ull + 1442695040888963407ull;
			all[i].start = (seed >> 33) % SPACE;
			all[i].end = all[i].start + 1 + (seed >> 45) % 40;
			all[i].depth = (uint32_t)(seed >> 57) % (round % 2 ? 4 : 100);
			all[i].what = (uint32_t)i;
			CHECK(!cprof_intervals_add(&intervals, &all[i]));
		}
		CHECK(!cprof_intervals_flatten(&intervals));
		for (uint64_t addr = 0; addr < SPACE + 50; addr++)
			CHECK_UINT(cprof_intervals_find(&intervals, addr),
				   plain_search(all, n, addr));
		CHECK(intervals.n <= 2 * n + 1);
		cprof_intervals_deinit(&intervals);
	}
}
