/* SPDX-License-Identifier: Apache-2.0 */
#include "base/path.h"

#include "tests/unit/test.h"

TEST(path_clean_gives_the_shortest_equal_path)
{
	static const char *const rows[][2] = {
		{ "", "." },
		{ "a/b", "a/b" },
		{ "a//b/", "a/b" },
		{ "./a/./b", "a/b" },
		{ "a/../b", "b" },
		{ "../a", "../a" },
		{ "a/../../b", "../b" },
		{ "/../a", "/a" },
		{ "/", "/" },
		{ "/a/..", "/" },
		{ "a/..", "." },
		{ "../../x/..", "../.." },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_buffer out = { 0 };
		cprof_path_clean(rows[i][0], &out);
		CHECK_STR(cprof_buffer_text(&out), rows[i][1]);
		cprof_buffer_deinit(&out);
	}
}

TEST(path_trim_takes_off_where_it_was_built)
{
	CHECK_STR(cprof_path_trim("/home/me/p/a.c", "/x:/home/me", ""), "p/a.c");
	CHECK_STR(cprof_path_trim("/home/me/p/a.c", "/home/m", ""), "/home/me/p/a.c");
	CHECK_STR(cprof_path_trim("/proc/self/cwd/./a.c", "", ""), "a.c");
	CHECK_STR(cprof_path_trim("/proc/self/cwd/a.c", "", ""), "a.c");
	CHECK_STR(cprof_path_trim("/remote/project/src/a.c", "", "/local/project"), "src/a.c");
	CHECK_STR(cprof_path_trim("/remote/project/src/a.c", "/x", "/local/project"),
		  "/remote/project/src/a.c");
}
