/* SPDX-License-Identifier: Apache-2.0 */
#include "base/array.h"
#include "base/search.h"
#include "tests/unit/test.h"

TEST(array_room_grows_by_more_than_asked_and_keeps_what_is_there)
{
	int *numbers = NULL;
	size_t n = 0, cap = 0;
	for (int i = 0; i < 1000; i++) {
		CHECK(CPROF_ARRAY_ROOM(numbers, n, cap, 1));
		CHECK(cap > n);
		numbers[n++] = i;
	}
	CHECK(cap < 1600);
	for (int i = 0; i < 1000; i++)
		CHECK_UINT(numbers[i], i);
	int *before = numbers;
	CHECK(CPROF_ARRAY_ROOM(numbers, n, cap, 0));
	CHECK(numbers == before);
	CHECK(CPROF_ARRAY_ROOM(numbers, n, cap, 5000));
	CHECK(cap >= 6000);
	free(numbers);
}

TEST(array_room_counted_in_32_bits_ends_there)
{
	uint64_t *words = NULL;
	uint32_t n = 0, cap = 0;
	CHECK(CPROF_ARRAY_ROOM(words, n, cap, 3));
	CHECK_UINT(cap, 16);
	uint64_t *before = words;
	CHECK(!CPROF_ARRAY_ROOM(words, n, cap, (size_t)UINT32_MAX + 1));
	CHECK(!cprof_array_room32(&words, UINT32_MAX, &cap, 1, sizeof(*words)));
	CHECK(words == before);
	CHECK_UINT(cap, 16);
	free(words);
}

TEST(array_room_that_no_size_counts_is_refused_and_changes_nothing)
{
	static const size_t extras[] = { SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 8 + 1 };
	uint64_t *words = NULL;
	size_t n = 0, cap = 0;
	CHECK(CPROF_ARRAY_ROOM(words, n, cap, 1));
	for (size_t i = 0; i < sizeof(extras) / sizeof(extras[0]); i++) {
		uint64_t *before = words;
		CHECK(!CPROF_ARRAY_ROOM(words, n, cap, extras[i]));
		CHECK(words == before);
		CHECK_UINT(cap, 16);
	}
	free(words);
}

TEST(search_finds_the_first_that_is_not_before)
{
	static const int sorted[] = { 1, 3, 3, 5, 9 };
	static const struct {
		int want;
		size_t n, at;
	} rows[] = {
		{ 0, 5, 0 }, { 1, 5, 0 },  { 2, 5, 1 },  { 3, 5, 1 }, { 4, 5, 3 },
		{ 9, 5, 4 }, { 10, 5, 5 }, { 10, 0, 0 }, { 5, 3, 3 }, { 1, 1, 0 },
	};
	for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++)
		CHECK_UINT(CPROF_SEARCH(i, rows[r].n, sorted[i] < rows[r].want), rows[r].at);
}
