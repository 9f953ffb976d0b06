/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/answer.h"

#include "tests/unit/test.h"

TEST(answer_gives_a_file_without_a_name_the_suffix_of_its_format)
{
	static const struct {
		const char *format, *suffix;
	} cases[] = {
		{ NULL, "pb.gz" }, { "pprof", "pb.gz" },   { "proto", "pb.gz" },
		{ "pb", "pb" },    { "folded", "folded" }, { "speedscope", "speedscope.json" },
		{ "top", "txt" },  { "tree", "txt" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cprof_attach_options options = { .format = cases[i].format };
		struct cprof_answer answer;
		struct cprof_error *err = cprof_answer_choose(&options, &answer);
		if (err)
			TEST_FAIL("%s: %s", cases[i].format, err->message);
		CHECK_STR(answer.suffix, cases[i].suffix);
	}
}
