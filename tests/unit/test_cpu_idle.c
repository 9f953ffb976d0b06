/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_idle.h"
#include "base/clock.h"
#include "tests/unit/test.h"

#include <string.h>

#define MS 1000000ull

TEST(an_empty_cpu_profile_says_whether_children_or_nobody_worked)
{
	static const struct {
		uint64_t sampled_ms, window_ms, children_ms;
		const char *want; /* in the text; "" none at all */
	} rows[] = {
		{ 0, 1000, 0, "no processor time was used in 1 s" },
		{ 0, 500, 40,
		  "no processor time was used in 0.5 s" }, /* by children, a few ticks */
		{ 9, 1000, 0, "hardly any processor time" },
		{ 10, 1000, 0, "" },
		{ 1000, 1000, 0, "" },
		{ 0, 1000, 900,
		  "child processes used 0.90 s of processor time, the process itself 0.00 s" },
		{ 200, 1000, 900, "child processes used 0.90 s" },
		{ 300, 1000, 900, "" }, /* a part of the work, and not the smallest */
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		cprof_cpu_idle_text(rows[i].sampled_ms * MS, rows[i].window_ms * MS,
				    rows[i].children_ms * MS, text, sizeof(text));
		CHECK(rows[i].want[0] ? strstr(text, rows[i].want) != NULL : !text[0]);
	}
}
