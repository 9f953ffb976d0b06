#include "attach/cli/cli_options.h"

#include "tests/unit/test.h"

static struct cprof_error *parse(char *const argv[], struct cprof_attach_options *options)
{
	int argc = 0;
	while (argv[argc])
		argc++;
	*options = (struct cprof_attach_options){ 0 };
	return cprof_cli_options_parse(argc, argv, options);
}

#define ARGS(...) ((char *const[]){ "cprof-attach", __VA_ARGS__, NULL })

TEST(cli_options_defaults_are_those_of_the_help)
{
	struct cprof_attach_options options;
	CHECK(!parse(ARGS("-p", "12"), &options));
	CHECK_UINT(options.n_pids, 1);
	CHECK_UINT(options.pids[0], 12);
	CHECK_UINT(options.length_ns, 30000000000);
	CHECK(options.rate_hz == 100);
	CHECK_UINT(options.stack_bytes, 32768);
	CHECK_STR(options.mode, "cpu");
	CHECK_STR(options.event, "cpu-clock");
	cprof_cli_options_deinit(&options);
}

TEST(cli_options_take_several_processes_once_each)
{
	struct cprof_attach_options options;
	CHECK(!parse(ARGS("-p", "12,13", "-p=12", "--p", "14"), &options));
	CHECK_UINT(options.n_pids, 3);
	CHECK_UINT(options.pids[2], 14);
	cprof_cli_options_deinit(&options);
}

TEST(cli_options_a_command_is_profiled_until_it_ends_unless_told)
{
	struct cprof_attach_options options;
	CHECK(!parse(ARGS("--", "ls", "-p", "x"), &options));
	CHECK_UINT(options.command.len, 3);
	CHECK_UINT(options.length_ns, 0);
	cprof_cli_options_deinit(&options);
	CHECK(!parse(ARGS("-seconds", "1.5", "--", "ls"), &options));
	CHECK_UINT(options.length_ns, 1500000000);
	cprof_cli_options_deinit(&options);
}

TEST(cli_options_refuse_what_makes_no_sense)
{
	static char *const bad[][8] = {
		{ "x", "-p", "", NULL },
		{ "x", "-p", "12,", NULL },
		{ "x", "-p", "0", NULL },
		{ "x", "-p", "-3", NULL },
		{ "x", "-p", "12x", NULL },
		{ "x", "-p", "99999999999", NULL },
		{ "x", NULL },
		{ "x", "-p", "1", "-n", "a", NULL },
		{ "x", "-p", "1", "--", "a", NULL },
		{ "x", "-p", "1", "-hz", "0", NULL },
		{ "x", "-p", "1", "-hz", "nan", NULL },
		{ "x", "-p", "1", "-stack-bytes", "70000", NULL },
		{ "x", "-p", "1", "-seconds", "-1", NULL },
		{ "x", "-p", "1", "-label", "=v", NULL },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cprof_attach_options options;
		struct cprof_error *err = parse(bad[i], &options);
		if (!err)
			TEST_FAIL("accepted: row %zu", i);
		CHECK_UINT(err->code, CPROF_ERR_USAGE);
		cprof_error_free(err);
		cprof_cli_options_deinit(&options);
	}
}

TEST(cli_options_describe_leaves_secrets_out)
{
	static const struct {
		char *const args[6];
		const char *want;
	} rows[] = {
		{ { "x", "-p", "1", "-hz=50", NULL }, "cprof-attach -p 1 -hz=50" },
		{ { "x", "-push", "http://h:1/p", NULL }, "cprof-attach -push http://h:1/p" },
		{ { "x", "-push", "https://u:pw@h/p?t=1#f", NULL },
		  "cprof-attach -push https://...@h/p?..." },
		{ { "x", "-push=http://u@h/?a=b", NULL }, "cprof-attach -push=http://...@h/?..." },
		{ { "x", "-label", "token=abc", NULL }, "cprof-attach -label token=..." },
		{ { "x", "-auth-token", "abc", NULL }, "cprof-attach -auth-token ..." },
		{ { "x", "--", "mysql", "-psecret", NULL }, "cprof-attach -- mysql ..." },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_buffer text = { 0 };
		int argc = 0;
		while (rows[i].args[argc])
			argc++;
		cprof_cli_options_describe(argc, rows[i].args, &text);
		CHECK_STR(cprof_buffer_text(&text), rows[i].want);
		cprof_buffer_deinit(&text);
	}
}
