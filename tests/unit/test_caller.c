/* SPDX-License-Identifier: Apache-2.0 */
#include "base/caller.h"
#include "tests/unit/test.h"

TEST(the_callers_id_is_decimal_digits_and_one_that_chown_would_set)
{
	static const struct {
		const char *text;
		bool good;
		unsigned id;
	} rows[] = {
		{ "0", true, 0 },
		{ "1000", true, 1000 },
		{ "4294967294", true, 4294967294u },
		{ "4294967295", false, 0 }, /* chown(2): leave it as it is */
		{ "4294967296", false, 0 },
		{ "99999999999999999999999", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "1x", false, 0 },
		{ "", false, 0 },
		{ NULL, false, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned id = 0;
		CHECK(cprof_caller_parse_id(rows[i].text, &id) == rows[i].good);
		CHECK_UINT(id, rows[i].id);
	}
}
