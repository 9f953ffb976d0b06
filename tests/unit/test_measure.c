/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/measure.h"

#include "tests/unit/test.h"

TEST(measure_labels_scale_to_the_unit_asked_for)
{
	static const struct {
		int64_t value;
		const char *from, *to, *want;
	} rows[] = {
		{ 0, "nanoseconds", "auto", "0" },
		{ 1500000000, "nanoseconds", "auto", "1.50s" },
		{ 60000000000, "nanoseconds", "auto", "60s" },
		{ 7200000000000, "ns", "auto", "2hrs" },
		{ 10, "ms", "us", "10000us" },
		{ 10, "ms", "\xce\xbcs", "10000us" },
		{ 1500, "\xce\xbcs", "auto", "1.50ms" },
		{ -2048, "bytes", "auto", "-2kB" },
		{ 1024, "B", "mb", "0" },
		{ 1048576, "byte", "kB", "1024kB" },
		{ 5, "count", "minimum", "5" },
		{ 5, "count", "seconds", "5seconds" },
		{ 5, "widgets", "widgets", "5widgets" },
		{ 12, "bytes", "seconds", "12B" },
		{ INT64_MIN, "count", "auto", "-9223372036854775808" },
		{ 1500, "milligcu", "auto", "1.50GCU" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[CPROF_MEASURE_LABEL_MAX];
		CHECK_STR(cprof_measure_label_text(text, rows[i].value, rows[i].from, rows[i].to),
			  rows[i].want);
	}
}

TEST(measure_percentages_have_five_columns_and_round_to_a_hundred)
{
	static const struct {
		int64_t value, total;
		const char *want;
	} rows[] = {
		{ 1, 1, "  100%" },   { 9996, 10000, "  100%" }, { 9994, 10000, "99.94%" },
		{ 1, 8, "12.50%" },   { 1, 1000, "  0.1%" },     { 0, 5, "    0%" },
		{ 5, 0, "    0%" },   { -1, 4, "25.00%" },       { 3, 1, "300.00%" },
		{ 1, 300, " 0.33%" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[32];
		CHECK_STR(cprof_measure_percentage(text, rows[i].value, rows[i].total),
			  rows[i].want);
	}
}

TEST(measure_truncates_what_does_not_fit_without_undefined_behaviour)
{
	CHECK_UINT(cprof_measure_truncate(1e300), INT64_MIN);
	CHECK_UINT(cprof_measure_truncate(-1e300), INT64_MIN);
	CHECK_UINT(cprof_measure_truncate(0.0 / 0.0), INT64_MIN);
	CHECK_UINT(cprof_measure_truncate(-1.9), -1);
	CHECK_UINT(cprof_measure_add(INT64_MAX, 1), INT64_MIN);
}

TEST(measure_subtracts_and_divides_without_undefined_behaviour)
{
	CHECK(cprof_measure_subtract(5, 7) == -2);
	CHECK(cprof_measure_subtract(0, INT64_MIN) == INT64_MIN);
	CHECK(cprof_measure_subtract(INT64_MAX, -1) == INT64_MIN);
	CHECK(cprof_measure_divide(7, 2) == 3);
	CHECK(cprof_measure_divide(7, 0) == 7);
	CHECK(cprof_measure_divide(7, -1) == -7);
	CHECK(cprof_measure_divide(INT64_MIN, -1) == INT64_MIN); /* SIGFPE on x86 */
}
