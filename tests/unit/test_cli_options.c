/* SPDX-License-Identifier: Apache-2.0 */
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
	CHECK_STR(options.mode, "cpu");
	cprof_cli_options_deinit(&options);
}

/* Whoever fills requests without a command line starts from the defaults of the modes. */
TEST(cli_options_ask_for_what_modes_do_by_default)
{
	struct cprof_attach_options options;
	const struct cprof_mode_requests *want = &cprof_mode_defaults;
	CHECK(!parse(ARGS("-p", "12"), &options));
	const struct cprof_mode_requests *got = &options.requests;
	CHECK_STR(got->cpu.event, want->cpu.event);
	CHECK(got->cpu.rate_hz == want->cpu.rate_hz);
	CHECK_UINT(got->cpu.stack_bytes, want->cpu.stack_bytes);
	CHECK_UINT(got->cpu.user_only, want->cpu.user_only);
	CHECK_STR(got->cpu.strategy, want->cpu.strategy);
	CHECK_UINT(got->heap.period_bytes, want->heap.period_bytes);
	CHECK(got->heap.overhead == want->heap.overhead);
	CHECK_STR(got->heap.method, want->heap.method);
	CHECK_UINT(got->heap.pools->n, 0);
	CHECK_UINT(got->heap.baseline, want->heap.baseline);
	CHECK_UINT(got->waits.all, want->waits.all);
	CHECK_UINT(got->waits.rate_ns, want->waits.rate_ns);
	CHECK_STR(got->waits.method, want->waits.method);
	CHECK_UINT(got->waits.stack_bytes, want->waits.stack_bytes);
	CHECK_UINT(got->threads.repeat, want->threads.repeat);
	CHECK_UINT(got->threads.every_ns, want->threads.every_ns);
	CHECK_STR(got->threads.means, want->threads.means);
	CHECK_UINT(got->threads.consistent, want->threads.consistent);
	CHECK(!got->threads.core && !got->threads.exe && !got->threads.print);
	CHECK_UINT(options.naming.demangle, CPROF_DEMANGLE_SHORT);
	cprof_cli_options_deinit(&options);
}

TEST(cli_options_fill_the_request_of_the_mode_they_are_about)
{
	struct cprof_attach_options options;
	CHECK(!parse(ARGS("-p", "1", "-mode", "heap", "-rate", "1m", "-overhead", "2%"), &options));
	CHECK_UINT(options.requests.heap.period_bytes, 1 << 20);
	CHECK(options.requests.heap.overhead == 0.02);
	cprof_cli_options_deinit(&options);
	CHECK(!parse(ARGS("-p", "1", "-mode", "block", "-rate", "1us", "-block", "all"), &options));
	CHECK_UINT(options.requests.waits.rate_ns, 1000);
	CHECK(options.requests.waits.all);
	cprof_cli_options_deinit(&options);
	CHECK(!parse(ARGS("-p", "1", "-stack-bytes", "1001", "-label", "a=b=c", "-demangle=full"),
		     &options));
	CHECK_UINT(options.requests.cpu.stack_bytes, 1000);
	CHECK_UINT(options.requests.waits.stack_bytes, 1000);
	CHECK_STR(options.label_pairs[0].key, "a");
	CHECK_STR(options.label_pairs[0].value, "b=c");
	CHECK_UINT(options.naming.demangle, CPROF_DEMANGLE_FULL);
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

TEST(cli_options_take_what_pgrep_prints_quoted_and_as_words)
{
	static char *const good[][10] = {
		{ "x", "-p", "12\n13\n14", NULL },
		{ "x", "-p", " 12 13 14\n", NULL },
		{ "x", "-p", "12, 13 ,14", NULL },
		{ "x", "-p", "12", "13", "14", NULL },
		{ "x", "-v", "-p", "12", "13", "-q", "-p", "12", "14", NULL },
		{ "x", "-p", "12,13", "14", "-seconds", "1", NULL },
	};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct cprof_attach_options options;
		struct cprof_error *err = parse(good[i], &options);
		if (err)
			TEST_FAIL("row %zu: %s", i, err->message);
		CHECK_UINT(options.n_pids, 3);
		CHECK_UINT(options.pids[1], 13);
		CHECK_UINT(options.pids[2], 14);
		cprof_cli_options_deinit(&options);
	}
}

TEST(cli_options_say_that_nobody_was_found_where_a_pid_is_missing)
{
	static char *const bad[][8] = {
		{ "x", "-p", "-seconds", "1", NULL },
		{ "x", "-p", "", NULL },
		{ "x", "-p", " \n", NULL },
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct cprof_attach_options options;
		struct cprof_error *err = parse(bad[i], &options);
		CHECK(err && err->code == CPROF_ERR_USAGE);
		CHECK(strstr(err->message, "is not a process id"));
		CHECK(strstr(err->hint, "found no process"));
		cprof_error_free(err);
		cprof_cli_options_deinit(&options);
	}
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
		{ "x", "-p", "12", "13x", NULL },
		{ "x", "-p", "12", "-seconds", "1", "13", NULL },
		{ "x", "12", "-p", "13", NULL },
		{ "x", "-p=12", "13", NULL },
		{ "x", "-p", "1", "-consistent", "-means", "proc", NULL },
		{ "x", "-p", "99999999999", NULL },
		{ "x", NULL },
		{ "x", "-p", "1", "-n", "a", NULL },
		{ "x", "-p", "1", "--", "a", NULL },
		{ "x", "-p", "1", "-hz", "0", NULL },
		{ "x", "-p", "1", "-hz", "nan", NULL },
		{ "x", "-p", "1", "-stack-bytes", "70000", NULL },
		{ "x", "-p", "1", "-seconds", "-1", NULL },
		{ "x", "-p", "1", "-label", "=v", NULL },
		{ "x", "-p", "1", "-block", "some", NULL },
		{ "x", "-p", "1", "-mode", "mutex", "-block", "all", NULL },
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

static bool is_option(const char *name, size_t n)
{
	for (size_t i = 0; i < cprof_cli_option_table.n_rows; i++) {
		const char *row = cprof_cli_option_table.rows[i].name;
		if (strlen(row) == n && memcmp(row, name, n) == 0)
			return true;
	}
	return false;
}

TEST(cli_options_lead_habits_to_options_that_exist)
{
	for (size_t i = 0; i < cprof_cli_option_table.n_habits; i++) {
		const struct cprof_option_habit *habit = &cprof_cli_option_table.habits[i];
		for (const char *at = habit->typed; *at;) {
			size_t n = strcspn(at, " ");
			if (is_option(at, n))
				TEST_FAIL("%.*s is an option: nobody sees \"%s\"", (int)n, at,
					  habit->hint);
			at += n + strspn(at + n, " ");
		}
		const char *meant = strstr(habit->hint, "did you mean -");
		if (meant && !is_option(meant + 14, strcspn(meant + 14, " ?")))
			TEST_FAIL("no such option: %s", habit->hint);
	}
}

/* What a shell offers is there, and is taken. */
TEST(cli_options_that_shells_offer_are_taken)
{
	const struct cprof_option_table *table = &cprof_cli_option_table;
	CHECK(table->n_choices > 10);
	for (size_t i = 0; i < table->n_choices; i++) {
		char words[512], *next = words;
		const char *name = table->choices[i].names;
		if (strcmp(table->choices[i].words, CPROF_CHOICES_PROCESS_NAMES) == 0)
			continue;
		snprintf(words, sizeof(words), "%s", table->choices[i].words);
		for (char *word; (word = strsep(&next, " "));) {
			char option[64];
			struct cprof_attach_options options;
			snprintf(option, sizeof(option), "-%s=%s", name, word);
			struct cprof_error *err = parse(ARGS("-p", "1", option), &options);
			CHECK(!err || strcmp(name, "push") == 0);
			cprof_error_free(err);
			cprof_cli_options_deinit(&options);
		}
	}
}

TEST(cli_options_that_do_nothing_in_a_mode_are_told)
{
	static const struct {
		const char *mode, *option, *want;
	} rows[] = {
		{ "cpu", "-rate=100",
		  "warning: -rate does nothing in -mode cpu: it goes with heap, "
		  "block, mutex; -hz is how often" },
		{ "wall", "-rate=1ms", "-rate does nothing in -mode wall" },
		{ "heap", "-event=page-faults",
		  "-event does nothing in -mode heap: it goes with cpu" },
		{ "threads", "-hz=99", "-hz does nothing in -mode threads" },
		{ "block", "-means=proc", "-means does nothing in -mode block" },
		{ "wall", "-hz=99", "" },
		{ "block", "-rate=1ms", "" },
		{ "cpu", "-hz=99", "" },
		{ "cpu", "-q", "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_attach_options options;
		struct cprof_buffer said = { 0 };
		CHECK(!parse(ARGS("-p", "1", "-mode", (char *)(uintptr_t)rows[i].mode,
				  (char *)(uintptr_t)rows[i].option),
			     &options));
		cprof_cli_options_unused(&options, &said);
		const char *text = cprof_buffer_text(&said);
		if (*rows[i].want ? !strstr(text, rows[i].want) : *text)
			TEST_FAIL("%s %s: \"%s\"", rows[i].mode, rows[i].option, text);
		cprof_buffer_deinit(&said);
		cprof_cli_options_deinit(&options);
	}
}
