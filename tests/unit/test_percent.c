/* SPDX-License-Identifier: Apache-2.0 */
#include "base/percent.h"
#include "tests/unit/test.h"

TEST(percent_reads_one_byte_and_nothing_else)
{
	static const struct {
		const char *text;
		bool found;
		unsigned char byte;
	} cases[] = {
		{ "%41", true, 'A' }, { "%4a%", true, 'J' }, { "%fF", true, 0xff },
		{ "%00", true, 0 },   { "", false, 0 },      { "%", false, 0 },
		{ "%4", false, 0 },   { "%4g", false, 0 },   { "%@1", false, 0 },
		{ "41", false, 0 },   { "a%41", false, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char byte = 0;
		CHECK_UINT(cprof_percent_byte(cases[i].text, strlen(cases[i].text), &byte),
			   cases[i].found);
		CHECK_UINT((unsigned char)byte, cases[i].byte);
	}
}

TEST(percent_writes_and_reads_whole_texts)
{
	static const struct {
		const char *plain, *text;
	} cases[] = { { "", "" },
		      { "aZ09-._~", "aZ09-._~" },
		      { "a b/\xc3\xa9%", "a%20b%2F%C3%A9%25" } };
	static const char odd[] = "%zz%4";
	struct cprof_buffer out = { 0 };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		out.len = 0;
		cprof_percent_encode(cases[i].plain, &out);
		CHECK_STR(cprof_buffer_text(&out), cases[i].text);
		out.len = 0;
		cprof_percent_decode(cases[i].text, strlen(cases[i].text), &out);
		CHECK_STR(cprof_buffer_text(&out), cases[i].plain);
	}
	out.len = 0;
	cprof_percent_decode(odd, strlen(odd), &out);
	CHECK_STR(cprof_buffer_text(&out), odd);
	cprof_buffer_deinit(&out);
}
