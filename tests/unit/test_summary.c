#include "attach/cli/summary.h"

#include "tests/unit/test.h"

TEST(summary_tells_whose_names_are_missing_and_the_first_line_of_advice)
{
	static const struct {
		const char *path, *advice, *want;
	} rows[] = {
		{ "/usr/lib/x86_64-linux-gnu/libc.so.6", "apt install libc6-dbg\nmore\n",
		  "hint: 12 % of the addresses are of libc.so.6 and have no name: apt install libc6-dbg" },
		{ "/opt/my server", "",
		  "hint: 12 % of the addresses are of my server and have no name: "
		  "cprof-attach -why '/opt/my server' says what would help" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct cprof_run_log log = {
			.counts.locations = 100,
			.unnamed = { .path = (char *)(uintptr_t)rows[i].path, .locations = 12 },
		};
		struct cprof_buffer out = { 0 };
		cprof_summary_nameless(&log, rows[i].advice, &out);
		CHECK_STR(cprof_buffer_text(&out), rows[i].want);
		cprof_buffer_deinit(&out);
	}
}
