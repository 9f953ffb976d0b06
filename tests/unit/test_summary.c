/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/summary.h"

#include "base/cleanup.h"
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

TEST(summary_line_fits_terminals_of_any_width)
{
	static const char line[] = "4 s left, 1,234 samples, 0 lost, 2 threads, 0.0 % truncated";
	static const struct {
		unsigned columns;
		const char *want;
	} rows[] = {
		{ 0, line },
		{ 80, line },
		{ sizeof(line), line },
		{ sizeof(line) - 1, "4 s left, 1,234 samples, 0 lost, 2 threads" },
		{ 40, "4 s left, 1,234 samples, 0 lost" },
		{ 24, "4 s left, 1,234 samples" },
		{ 23, "4 s left" },
		{ 9, "4 s left" },
		{ 8, "4 s lef" },
		{ 1, "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_puts(&text, line);
		cprof_summary_fit(&text, rows[i].columns);
		CHECK_STR(cprof_buffer_text(&text), rows[i].want);
	}
	struct cprof_buffer none = { 0 };
	cprof_summary_fit(&none, 1);
}

TEST(summary_lines_are_broken_between_their_parts)
{
	static const struct {
		unsigned columns;
		const char *want;
	} rows[] = {
		{ 0, "1 sample, 0 lost, 3 threads\nwrote a, b\n" },
		{ 28, "1 sample, 0 lost, 3 threads\nwrote a, b\n" },
		{ 20, "1 sample, 0 lost,\n3 threads\nwrote a, b\n" },
		{ 12, "1 sample,\n0 lost,\n3 threads\nwrote a, b\n" },
		{ 3, "1 sample,\n0 lost,\n3 threads\nwrote a,\nb\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_puts(&text, rows[0].want);
		cprof_summary_wrap(&text, rows[i].columns);
		CHECK_STR(cprof_buffer_text(&text), rows[i].want);
	}
}
