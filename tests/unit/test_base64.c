/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

#include "tests/unit/test.h"

TEST(base64_is_read_with_and_without_padding)
{
	static const struct {
		const char *text, *want; /* NULL: refused */
	} cases[] = { { "", "" },          { "Zg==", "f" },      { "Zm8=", "fo" },
		      { "Zm9v", "foo" },   { "Zm9vYg", "foob" }, { "Pz8_", "???" },
		      { "Pz8/", "???" },   { "Zg=", NULL },      { "Z", NULL },
		      { "Zm9v Zg", NULL }, { "====", NULL } };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer out = { 0 };
		const bool good = cprof_base64_decode(cases[i].text, strlen(cases[i].text), &out);
		CHECK(good == (cases[i].want != NULL));
		if (good && cases[i].want)
			CHECK_STR(cprof_buffer_text(&out), cases[i].want);
		cprof_buffer_deinit(&out);
	}
}

TEST(base64_is_written_with_padding)
{
	static const struct {
		const char *bytes, *want;
	} rows[] = { { "", "" },
		     { "f", "Zg==" },
		     { "fo", "Zm8=" },
		     { "foo", "Zm9v" },
		     { "foobar", "Zm9vYmFy" } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_buffer out = { 0 };
		cprof_base64_encode(rows[i].bytes, strlen(rows[i].bytes), &out);
		CHECK_STR(cprof_buffer_text(&out), rows[i].want);
		cprof_buffer_deinit(&out);
	}
}
