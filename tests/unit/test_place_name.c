/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/place_name.h"
#include "tests/unit/test.h"

TEST(place_name_tells_a_place_from_a_function)
{
	static const struct {
		const char *name;
		bool want;
	} cases[] = {
		{ "libc.so.6+0x1234", true },
		{ "my program+0xABC", true },
		{ "[anon]+0x0", true },
		{ "[JIT]", true },
		{ "[anon: v8]", true },
		{ "JIT", false },
		{ "a+b+0x1", true },
		{ "0x401000", true },
		{ "[unknown]", true },
		{ "<unknown>", true },
		{ "??", true },
		{ "", true },
		{ "main", false },
		{ "operator+", false },
		{ "operator+0x", false },
		{ "a+0x12g", false },
		{ "a+0x", false },
		{ "+0x12", false },
		{ "0x", false },
		{ "x401000", false },
		{ "f(int)+0x1(a)", false },
		{ "[vdso]", false },
		{ "a+12", false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cprof_place_name_is(cases[i].name) != cases[i].want)
			TEST_FAIL("%s", cases[i].name);
	}
}
