/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/heap_sizes.h"
#include "tests/unit/test.h"

TEST(heap_sizes_are_a_range_an_open_one_or_one_size)
{
	static const struct {
		const char *text;
		uint64_t min, max;
		const char *words;
	} cases[] = {
		{ "4080:4096", 4080, 4096, "4080 to 4096 bytes" },
		{ "4096", 4096, 4096, "4096 bytes" },
		{ "0:0", 0, 0, "0 bytes" },
		{ "1m:", 1 << 20, CPROF_HEAP_SIZES_LIMIT, "1048576 bytes and more" },
		{ ":512", 0, 512, "0 to 512 bytes" },
		{ "4k:64k", 4096, 65536, "4096 to 65536 bytes" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_heap_sizes sizes = { 0 };
		char words[CPROF_HEAP_SIZES_TEXT];
		CHECK(!cprof_heap_sizes_parse(cases[i].text, &sizes));
		CHECK(sizes.given);
		CHECK_UINT(sizes.min, cases[i].min);
		CHECK_UINT(sizes.max, cases[i].max);
		CHECK_UINT(cprof_heap_sizes_least(&sizes), cases[i].min);
		CHECK_UINT(cprof_heap_sizes_span(&sizes), cases[i].max - cases[i].min);
		cprof_heap_sizes_text(&sizes, words);
		CHECK_STR(words, cases[i].words);
	}
}

TEST(heap_sizes_that_are_none_are_refused_and_change_nothing)
{
	static const char *const cases[] = {
		"",
		":",
		"x",
		"4096:4080",
		"-1:5",
		"1:2:3",
		"1:-2",
		"4q",
		"1:2x",
		" ",
		"99999999999999999999",
		"1:9000000t",
		"1;2",
		"1.5:2",
		"::",
		"1:x",
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_heap_sizes sizes = { 0 };
		struct cprof_error *err = cprof_heap_sizes_parse(cases[i], &sizes);
		if (!err)
			TEST_FAIL("\"%s\" is taken", cases[i]);
		CHECK_UINT(err->code, CPROF_ERR_USAGE);
		CHECK(err->hint);
		CHECK(!sizes.given);
		cprof_error_free(err);
	}
}

TEST(heap_sizes_that_are_not_given_are_all)
{
	const struct cprof_heap_sizes all = { 0 };
	char words[CPROF_HEAP_SIZES_TEXT] = "x";
	cprof_heap_sizes_text(&all, words);
	CHECK_STR(words, "");
	CHECK_UINT(cprof_heap_sizes_least(&all), 0);
	CHECK_UINT(cprof_heap_sizes_span(&all), UINT64_MAX);
}
