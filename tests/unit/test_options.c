/* SPDX-License-Identifier: Apache-2.0 */
#include "base/options.h"
#include "tests/unit/test.h"

struct values {
	bool yes;
	const char *text;
	uint64_t number, bytes, time_ns;
	int64_t whole;
	double ratio;
	const char *maybe;
	struct cprof_strings labels;
};

#define AT(field) offsetof(struct values, field)
/* clang-format off */
static const struct cprof_option rows[] = {
	{ "yes", CPROF_OPT_SWITCH, AT(yes), NULL, NULL, "a switch", "General" },
	{ "text", CPROF_OPT_STRING, AT(text), "none", "TEXT", "some text", NULL },
	{ "number", CPROF_OPT_UINT, AT(number), "7", "N", "a number whose help goes on for so long that it must be wrapped somewhere", NULL },
	{ "bytes", CPROF_OPT_SIZE, AT(bytes), NULL, "SIZE", "a size", NULL },
	{ "seconds", CPROF_OPT_DURATION, AT(time_ns), "30", "SECONDS", "a duration", "Time" },
	{ "whole", CPROF_OPT_INT, AT(whole), "-1", "N", "a number with a sign", NULL },
	{ "ratio", CPROF_OPT_DOUBLE, AT(ratio), NULL, "F", "a fraction", NULL },
	{ "maybe", CPROF_OPT_OPTIONAL, AT(maybe), NULL, "[TEXT]", "text or nothing", NULL },
	{ "label", CPROF_OPT_LIST, AT(labels), NULL, "K=V", "repeatable", NULL },
	{ "secret", CPROF_OPT_SWITCH, AT(yes), NULL, NULL, "not shown", "hidden" },
};
/* clang-format on */
static const struct cprof_option_habit habits[] = { { "duration d", "did you mean -seconds?" } };
static const struct cprof_option_table table = {
	.rows = rows, .n_rows = sizeof(rows) / sizeof(rows[0]), .habits = habits, .n_habits = 1
};

#define MAX_ARGS 8

static struct cprof_error *parse(const char *const *args, struct values *values,
				 struct cprof_strings *rest, struct cprof_strings *after)
{
	char *argv[MAX_ARGS + 2] = { (char[]){ "program" } };
	int argc = 1;
	for (size_t i = 0; i < MAX_ARGS && args[i]; i++)
		argv[argc++] = (char *)(uintptr_t)args[i];
	*values = (struct values){ 0 };
	return cprof_options_parse(&table, argc, argv, values, rest, after);
}

TEST(options_that_need_no_value_take_what_is_no_option)
{
	static const struct {
		const char *args[MAX_ARGS], *maybe;
		size_t n_rest;
	} rows_of[] = {
		{ { "x" }, NULL, 1 },
		{ { "-maybe" }, "", 0 },
		{ { "-maybe", "10ms" }, "10ms", 0 },
		{ { "-maybe=10ms", "x" }, "10ms", 1 },
		{ { "-maybe=", "x" }, "", 1 },
		{ { "--maybe", "-yes" }, "", 0 },
		{ { "-maybe", "--", "x" }, "", 1 },
		{ { "-maybe", "-maybe=2" }, "2", 0 },
	};
	for (size_t i = 0; i < sizeof(rows_of) / sizeof(rows_of[0]); i++) {
		struct values values;
		struct cprof_strings rest = { 0 };
		CHECK(!parse(rows_of[i].args, &values, &rest, NULL));
		CHECK((values.maybe == NULL) == (rows_of[i].maybe == NULL));
		if (values.maybe)
			CHECK_STR(values.maybe, rows_of[i].maybe);
		CHECK_UINT(rest.len, rows_of[i].n_rest);
		cprof_strings_deinit(&rest);
		cprof_strings_deinit(&values.labels);
	}
}

TEST(options_take_a_value_after_a_blank_or_an_equals_sign_and_one_dash_or_two)
{
	static const char *const forms[][MAX_ARGS] = {
		{ "-seconds", "1.5" },
		{ "-seconds=1.5" },
		{ "--seconds", "1.5" },
		{ "--seconds=1500ms" },
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		struct values values;
		struct cprof_strings rest = { 0 };
		CHECK(!parse(forms[i], &values, &rest, NULL));
		CHECK_UINT(values.time_ns, 1500000000);
		CHECK_UINT(values.number, 7);
		CHECK_STR(values.text, "none");
		CHECK_UINT(rest.len, 0);
	}
}

TEST(options_read_every_kind_of_value)
{
	static const char *const args[MAX_ARGS] = { "-yes",      "-bytes=4M",    "-whole=-3",
						    "-ratio=.5", "-number=0x10", "-label=a=b",
						    "-label",    "c=d" };
	struct values values;
	struct cprof_strings rest = { 0 };
	CHECK(!parse(args, &values, &rest, NULL));
	CHECK(values.yes);
	CHECK_UINT(values.bytes, 4 << 20);
	CHECK(values.whole == -3);
	CHECK(values.ratio > 0.49 && values.ratio < 0.51);
	CHECK_UINT(values.number, 16);
	CHECK_UINT(values.labels.len, 2);
	CHECK_STR(values.labels.items[1], "c=d");
	cprof_strings_deinit(&values.labels);
}

TEST(options_read_durations_as_go_writes_them)
{
	/* clang-format off */
	static const struct {
		const char *text;
		uint64_t want_ns; /* 0: refused */
	} cases[] = {
		{ "30", 30000000000 }, { "1.5", 1500000000 }, { ".5s", 500000000 }, { "1e1s", 10000000000 },
		{ "1m30s", 90000000000 }, { "1h2m", 3720000000000 }, { "1h2m3.5s", 3723500000000 },
		{ "1.5h", 5400000000000 }, { "2min", 120000000000 }, { "1s1ms1us1ns", 1001001001 },
		{ "3\u00b5s", 3000 }, { "3\u03bcs", 3000 }, { "100ns", 100 }, { "0s1ns", 1 },
		{ "", 0 }, { "s", 0 }, { "1m30", 0 }, { "1m 30s", 0 }, { "1m-30s", 0 }, { "-1s", 0 }, { "1m30x", 0 },
		{ "1..5s", 0 }, { "1ss", 0 }, { "9h9999999h", 0 }, { "1:30", 0 }, { "1m30s,", 0 }, { "s1", 0 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t ns = 0;
		struct cprof_error *err =
			cprof_options_value("seconds", CPROF_OPT_DURATION, cases[i].text, &ns);
		if ((err == NULL) != (cases[i].want_ns != 0) || ns != cases[i].want_ns)
			TEST_FAIL("\"%s\": %llu", cases[i].text, (unsigned long long)ns);
		cprof_error_free(err);
	}
}

TEST(options_keep_a_command_after_two_dashes_apart)
{
	static const char *const args[MAX_ARGS] = { "file", "-yes=false", "--", "ls", "-l" };
	struct values values;
	struct cprof_strings rest = { 0 }, after = { 0 };
	CHECK(!parse(args, &values, &rest, &after));
	CHECK(!values.yes);
	CHECK_UINT(rest.len, 1);
	CHECK_UINT(after.len, 2);
	CHECK_STR(after.items[1], "-l");
	cprof_strings_deinit(&rest);
	cprof_strings_deinit(&after);
}

TEST(options_refuse_bad_input_with_a_usage_error)
{
	/* clang-format off */
	static const struct {
		const char *args[MAX_ARGS];
		const char *want, *want_hint; /* parts of the message and the hint */
	} cases[] = {
		{ { "-secnds", "1" }, "unknown option -secnds", "did you mean -seconds?" },
		{ { "-sec", "1" }, "unknown option -sec", "did you mean -seconds?" },
		{ { "-duration", "1" }, "unknown option -duration", "did you mean -seconds?" },
		{ { "--d=5" }, "unknown option -d", "did you mean -seconds?" },
		{ { "-http" }, "unknown option -http", "-help lists" },
		{ { "-zzzzzz" }, "unknown option -zzzzzz", "-help lists" },
		{ { "-seconds" }, "-seconds needs SECONDS", NULL },
		{ { "-seconds", "-1" }, "-seconds: \"-1\" is not a duration", NULL },
		{ { "-seconds", "1 year" }, "is not a duration", NULL },
		{ { "-seconds", "1e300" }, "is not a duration", NULL },
		{ { "-number", "-1" }, "is not a number that is not negative", NULL },
		{ { "-number", "99999999999999999999" }, "is not a number", NULL },
		{ { "-bytes", "20000000T" }, "is not a size", NULL },
		{ { "-bytes", "4X" }, "is not a size", NULL },
		{ { "-ratio", "nan" }, "is not a number", NULL },
		{ { "-whole", "" }, "is not a whole number", NULL },
		{ { "-yes=maybe" }, "is not true or false", NULL },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct values values;
		struct cprof_strings rest = { 0 };
		struct cprof_error *err = parse(cases[i].args, &values, &rest, NULL);
		if (!err || err->code != CPROF_ERR_USAGE || !strstr(err->message, cases[i].want))
			TEST_FAIL("%s: %s", cases[i].args[0], err ? err->message : "accepted");
		if (cases[i].want_hint && (!err->hint || !strstr(err->hint, cases[i].want_hint)))
			TEST_FAIL("%s: hint %s", cases[i].args[0],
				  err->hint ? err->hint : "(none)");
		cprof_error_free(err);
		cprof_strings_deinit(&values.labels);
		cprof_strings_deinit(&rest);
	}
}

TEST(options_take_a_word_for_a_slip_of_another_only_if_it_looks_like_one)
{
	static const char *const names[] = { "top", "mode", "seconds", "version", "p", "heap" };
	static const struct {
		const char *word, *want; /* NULL: none */
	} cases[] = {
		{ "tpo", "top" },
		{ "topp", "top" },
		{ "moed", "mode" },
		{ "sec", "seconds" },
		{ "secnods", "seconds" },
		{ "xtop", "top" },
		{ "haep", "heap" },
		{ "verison", "version" },
		{ "http", NULL },
		{ "duration", NULL },
		{ "q", NULL },
		{ "pid", NULL },
		{ "memory", NULL },
		{ "", NULL },
		{ "x", NULL },
		{ "sessions", NULL },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *got = cprof_options_nearest(cases[i].word, names,
							sizeof(names) / sizeof(names[0]));
		const char *want = cases[i].want ? cases[i].want : "(none)";
		if (strcmp(got ? got : "(none)", want) != 0)
			TEST_FAIL("%s: %s, want %s", cases[i].word, got ? got : "(none)", want);
	}
}

TEST(options_help_shows_defaults_and_groups_and_never_passes_column_80)
{
	struct cprof_buffer out = { 0 };
	cprof_options_help(&table, &out);
	const char *text = cprof_buffer_text(&out);
	CHECK(strstr(text, "\nTime:\n  -seconds SECONDS"));
	CHECK(strstr(text, "(default 30)"));
	CHECK(!strstr(text, "secret"));
	CHECK(!strstr(text, " \n"));
	while (*text) {
		size_t line = strcspn(text, "\n");
		if (line > 80)
			TEST_FAIL("%zu columns: %.*s", line, (int)line, text);
		text += line + (text[line] != 0);
	}
	cprof_buffer_deinit(&out);
}

TEST(options_man_page_escapes_what_roff_would_eat)
{
	struct cprof_buffer out = { 0 };
	cprof_options_man(&table, &out);
	CHECK(strstr(cprof_buffer_text(&out), ".SS Time\n"));
	CHECK(strstr(cprof_buffer_text(&out),
		     ".B \\-seconds \\fISECONDS\\fR\na duration (default 30).\n"));
	cprof_buffer_deinit(&out);
}
