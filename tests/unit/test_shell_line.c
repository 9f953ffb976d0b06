/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/cli/shell_line.h"

#include "tests/unit/test.h"

struct shell {
	struct cprof_profile *profile;
	struct cprof_config config;
	struct cprof_intern memory;
};

static void ok(struct cprof_error *err)
{
	if (err)
		TEST_FAIL("%s", err->message);
}

static void open_shell(struct shell *shell)
{
	ok(cprof_profile_new(&shell->profile));
	ok(cprof_profile_add_type(shell->profile, "alloc_space", "bytes"));
	ok(cprof_profile_add_type(shell->profile, "inuse_space", "bytes"));
	ok(cprof_config_init(&shell->config));
	ok(cprof_intern_init(&shell->memory));
}

static void close_shell(struct shell *shell)
{
	cprof_profile_free(shell->profile);
	cprof_intern_deinit(&shell->memory);
}

static struct cprof_shell_line type(struct shell *shell, const char *text)
{
	struct cprof_shell_line line;
	ok(cprof_shell_line_read(text, shell->profile, &shell->config, &shell->memory, &line));
	return line;
}

TEST(shell_line_reads_reports_with_everything_that_may_stand_behind_them)
{
	struct shell shell;
	open_shell(&shell);
	struct cprof_shell_line line = type(&shell, "top");
	CHECK(line.kind == CPROF_SHELL_REPORT);
	CHECK_STR(line.format->name, "top");
	CHECK_UINT(line.config.nodecount, 10);
	CHECK_UINT(type(&shell, "top7").config.nodecount, 7);
	CHECK_UINT(type(&shell, "  tree  3 ").config.nodecount, 3);
	CHECK_UINT(type(&shell, "tree").config.nodecount, -1);

	line = type(&shell, "top 20 -cum main alloc -malg -gc > out.txt");
	CHECK_UINT(line.config.nodecount, 20);
	CHECK(line.config.cum && !shell.config.cum);
	CHECK_STR(line.config.focus, "main|alloc");
	CHECK_STR(line.config.ignore, "malg|gc");
	CHECK_STR(line.config.output, "out.txt");

	line = type(&shell, "list main.* foo >x");
	CHECK_STR(line.argument, "main.*");
	CHECK_STR(line.config.focus, "foo");
	CHECK_STR(line.config.output, "x");

	line = type(&shell, "tags a -b");
	CHECK_STR(line.config.tagfocus, "a");
	CHECK_STR(line.config.tagignore, "b");
	CHECK_STR(line.config.focus, "");
	close_shell(&shell);
}

TEST(shell_line_sets_options_and_knows_the_shortcuts)
{
	struct shell shell;
	open_shell(&shell);
	CHECK(type(&shell, "focus = main.* //: a comment").kind == CPROF_SHELL_NOTHING);
	CHECK_STR(shell.config.focus, "main.*");
	type(&shell, "cum");
	CHECK(shell.config.cum);
	type(&shell, "sort=flat");
	CHECK(!shell.config.cum);
	type(&shell, "granularity=lines");
	CHECK(shell.config.granularity == CPROF_BY_LINE);
	type(&shell, "functions");
	CHECK(shell.config.granularity == CPROF_BY_FUNCTION);
	type(&shell, "nodecount=5");
	type(&shell, "noinlines");
	CHECK(shell.config.noinlines && shell.config.nodecount == 5);
	CHECK_STR(shell.config.focus, "main.*"); /* setting one leaves the others alone */
	type(&shell, "alloc_space");
	CHECK_STR(shell.config.sample_index, "alloc_space");
	type(&shell, "mean_inuse_space");
	CHECK(shell.config.mean);
	CHECK_STR(shell.config.sample_index, "inuse_space");
	type(&shell, "total_inuse_space");
	CHECK(!shell.config.mean);
	type(&shell, "sample_index=0");
	CHECK_STR(shell.config.sample_index, "alloc_space");
	type(&shell, ":");
	CHECK_STR(shell.config.focus, "");
	CHECK(type(&shell, "o").kind == CPROF_SHELL_OPTIONS);
	CHECK(type(&shell, "quit").kind == CPROF_SHELL_QUIT);
	CHECK_STR(type(&shell, "help top").argument, "top");
	close_shell(&shell);
}

TEST(shell_line_says_what_it_does_not_understand)
{
	static const struct {
		const char *text, *want;
	} rows[] = {
		{ "tpo", "unrecognized command: \"tpo\"" },
		{ "focus", "please specify a value, e.g. focus=<val>" },
		{ "list", "command list requires an argument" },
		{ "top >", "unexpected end of line after >" },
		{ "top | less", "cannot be piped" },
		{ "top |less", "cannot be piped" },
		{ "top main| less", "cannot be piped" },
		{ "list main | less", "cannot be piped" },
		{ "top >> file", "nothing can be appended" },
		{ "top >>file", "nothing can be appended" },
		{ "sample_index=nope",
		  "sample_index \"nope\" must be one of: [alloc_space inuse_space]" },
		{ "nodecount=many", "-nodecount" },
		{ "granularity=atoms", "invalid \"granularity\" value" },
	};
	struct shell shell;
	open_shell(&shell);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_shell_line line;
		struct cprof_error *err = cprof_shell_line_read(
			rows[i].text, shell.profile, &shell.config, &shell.memory, &line);
		if (!err || err->code != CPROF_ERR_USAGE || !strstr(err->message, rows[i].want))
			TEST_FAIL("%s: \"%s\", want \"%s\"", rows[i].text,
				  err ? err->message : "accepted", rows[i].want);
		cprof_error_free(err);
	}
	close_shell(&shell);
}

TEST(shell_line_forgets_a_value_that_it_refused)
{
	struct shell shell;
	open_shell(&shell);
	static const char *const refused[] = { "sort=sideways", "granularity=atoms",
					       "nodecount=many" };
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct cprof_shell_line line;
		struct cprof_error *err = cprof_shell_line_read(
			refused[i], shell.profile, &shell.config, &shell.memory, &line);
		CHECK(err != NULL);
		cprof_error_free(err);
		type(&shell, "granularity=lines"); /* fails the test where it is refused */
		CHECK_UINT(shell.config.granularity, CPROF_BY_LINE);
		type(&shell, "granularity=functions");
	}
	close_shell(&shell);
}

TEST(shell_line_knows_the_values_of_an_option)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
		{ "sample_index", "alloc_space inuse_space " },
		{ "sort", "cum flat " },
		{ "granularity", "functions filefunctions files lines addresses " },
		{ "trim", "true false " },
		{ "focus", "" },
		{ "nothing", "" },
	};
	struct shell shell;
	open_shell(&shell);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char all[256] = "";
		const char *value;
		for (size_t n = 0; (value = cprof_shell_line_value(shell.profile, rows[i].name, n));
		     n++)
			snprintf(strchr(all, 0), sizeof(all) - strlen(all), "%s ", value);
		CHECK_STR(all, rows[i].want);
	}
	close_shell(&shell);
}
