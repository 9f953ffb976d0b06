/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/dot_text.h"
#include "tests/unit/test.h"

TEST(dot_text_is_what_graphviz_draws_as_it_is)
{
	/* clang-format off */
	static const struct {
		const char *what, *text, *want;
	} cases[] = {
		{ "nothing", "", "" },
		{ "plain text", "std::map<int, char const*>", "std::map<int, char const*>" },
		{ "quotes", "say \"hi\"", "say \\\"hi\\\"" },
		{ "backslashes", "C:\\new\\", "C:\\\\new\\\\" },
		{ "a backslash before a quote", "\\\"", "\\\\\\\"" },
		{ "a name of Graphviz's", "\\N", "\\\\N" },
		{ "lines", "a\nb\n", "a\\lb\\l" },
		{ "lone ampersands", "f(T&&, U&); & &&", "f(T&&, U&); & &&" },
		{ "entities", "&lt;b&gt; &#65; &#x41;", "&amp;lt;b&amp;gt; &amp;#65; &amp;#x41;" },
		{ "what Graphviz takes for one", "[&str; 3] &; &#;", "[&amp;str; 3] &amp;; &amp;#;" },
		{ "no entities", "&# &lt &l-t; &", "&# &lt &l-t; &" },
		{ "HTML", "<b>{x|y}</b>", "<b>{x|y}</b>" },
		{ "UTF-8", "\xc3\xa9\xe2\x80\xa6", "\xc3\xa9\xe2\x80\xa6" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_buffer out = { 0 };
		cprof_dot_text_put(&out, cases[i].text, strlen(cases[i].text), CPROF_DOT_LEFT);
		if (strcmp(cprof_buffer_text(&out), cases[i].want) != 0)
			TEST_FAIL("%s: %s", cases[i].what, cprof_buffer_text(&out));
		cprof_buffer_deinit(&out);
	}
}

TEST(dot_text_reads_no_further_than_it_is_told)
{
	struct cprof_buffer out = { 0 };
	cprof_dot_text_put(&out, "a&lt;b", 4, CPROF_DOT_CENTER);
	CHECK_STR(cprof_buffer_text(&out), "a&lt");
	cprof_buffer_deinit(&out);
}
