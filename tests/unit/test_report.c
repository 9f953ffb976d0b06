/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/test_report.c - reports on two small profiles, whole texts. That they are also what the original tool prints is
 * checked by tests/e2e/test_golden.py and test_differential.py where that tool and its data are at hand.
 */
#include "convert/output/format_table.h"
#include "convert/report/report.h"

#include <stdio.h>

#include "convert/formats/input_format.h"
#include "tests/unit/test.h"

static const char folded[] = "main;parse;read 30\nmain;parse 20\nmain;run;step;read 25\n"
			     "main;run;step;run;step 5\nidle 20\n";
static const char heap[] = "heap profile: 3: 3072 [5: 6144] @ heapprofile\n"
			   "1: 1024 [2: 2048] @ 0x1001 0x2001\n2: 2048 [3: 4096] @ 0x1001 0x3001\n"
			   "MAPPED_LIBRARIES:\n1000-9000: /bin/prog\n";

static void ok(struct cprof_error *err)
{
	if (err)
		TEST_FAIL("%s", err->message);
}

static void set_all(struct cprof_config *config, const char *const *options)
{
	for (size_t i = 0; i < 4 && options[i]; i++) {
		char name[64];
		size_t n = strcspn(options[i], "=");
		snprintf(name, sizeof(name), "%.*s", (int)n, options[i]);
		ok(cprof_config_set(config, name, options[i][n] ? options[i] + n + 1 : "true"));
	}
}

static char *write_report(const char *source, const char *format, const char *argument,
			  const char *const *options)
{
	struct cprof_profile *profile;
	struct cprof_report *report;
	struct cprof_config config;
	char *text;
	size_t n;
	ok(cprof_input_decode((const uint8_t *)source, strlen(source), &profile));
	ok(cprof_config_init(&config));
	set_all(&config, options);
	ok(cprof_report_new(profile, cprof_format_find(format), argument, &config, &report));
	FILE *out = open_memstream(&text, &n);
	ok(cprof_report_write(report, out));
	fclose(out);
	cprof_report_free(report);
	cprof_profile_free(profile);
	return text;
}

TEST(report_texts_are_right_to_the_byte_under_every_filter_and_order)
{
	/* clang-format off */
	static const struct {
		const char *source, *format, *argument;
		const char *options[4];
		const char *want;
	} rows[] = {
		{ folded, "top", NULL, { NULL },
		  "Type: samples\n"
		  "Showing nodes accounting for 100, 100% of 100 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        55 55.00% 55.00%         55 55.00%  read\n"
		  "        20 20.00% 75.00%         20 20.00%  idle\n"
		  "        20 20.00% 95.00%         50 50.00%  parse\n"
		  "         5  5.00%   100%         30 30.00%  step\n"
		  "         0     0%   100%         80 80.00%  main\n"
		  "         0     0%   100%         30 30.00%  run\n" },
		{ folded, "top", NULL, { "cum", "nodecount=2" },
		  "Type: samples\n"
		  "Showing nodes accounting for 55, 55.00% of 100 total\n"
		  "Showing top 2 nodes out of 6\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "         0     0%     0%         80 80.00%  main\n"
		  "        55 55.00% 55.00%         55 55.00%  read\n" },
		{ folded, "top", NULL, { "focus=run", "ignore=nothing" },
		  "Type: samples\n"
		  "Active filters:\n"
		  "   focus=run\n"
		  "   ignore=nothing\n"
		  "Showing nodes accounting for 30, 30.00% of 100 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        25 25.00% 25.00%         25 25.00%  read\n"
		  "         5  5.00% 30.00%         30 30.00%  step\n"
		  "         0     0% 30.00%         30 30.00%  main\n"
		  "         0     0% 30.00%         30 30.00%  run\n" },
		{ folded, "top", NULL, { "hide=parse" },
		  "Type: samples\n"
		  "Active filters:\n"
		  "   hide=parse\n"
		  "Showing nodes accounting for 100, 100% of 100 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        55 55.00% 55.00%         55 55.00%  read\n"
		  "        20 20.00% 75.00%         20 20.00%  idle\n"
		  "        20 20.00% 95.00%         80 80.00%  main\n"
		  "         5  5.00%   100%         30 30.00%  step\n"
		  "         0     0%   100%         30 30.00%  run\n" },
		{ folded, "top", NULL, { "show=run|read" },
		  "Type: samples\n"
		  "Active filters:\n"
		  "   show=run|read\n"
		  "Showing nodes accounting for 60, 60.00% of 100 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        55 55.00% 55.00%         55 55.00%  read\n"
		  "         5  5.00% 60.00%         30 30.00%  run\n" },
		{ folded, "top", NULL, { "show_from=run" },
		  "Type: samples\n"
		  "Active filters:\n"
		  "   show_from=run\n"
		  "Showing nodes accounting for 30, 30.00% of 100 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        25 25.00% 25.00%         25 25.00%  read\n"
		  "         5  5.00% 30.00%         30 30.00%  step\n"
		  "         0     0% 30.00%         30 30.00%  run\n" },
		{ folded, "top", NULL, { "prune_from=step" },
		  "Type: samples\n"
		  "Showing nodes accounting for 100, 100% of 100 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        30 30.00% 30.00%         30 30.00%  read\n"
		  "        30 30.00% 60.00%         30 30.00%  step\n"
		  "        20 20.00% 80.00%         20 20.00%  idle\n"
		  "        20 20.00%   100%         50 50.00%  parse\n"
		  "         0     0%   100%         80 80.00%  main\n"
		  "         0     0%   100%         30 30.00%  run\n" },
		{ folded, "top", NULL, { "focus=read", "relative_percentages" },
		  "Type: samples\n"
		  "Active filters:\n"
		  "   focus=read\n"
		  "Showing nodes accounting for 55, 100% of 55 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "        55   100%   100%         55   100%  read\n"
		  "         0     0%   100%         55   100%  main\n"
		  "         0     0%   100%         30 54.55%  parse\n"
		  "         0     0%   100%         25 45.45%  run\n"
		  "         0     0%   100%         25 45.45%  step\n" },
		{ folded, "top", NULL, { "divide_by=10", "nodefraction=0.25" },
		  "Type: samples\n"
		  "Showing nodes accounting for 8, 80.00% of 10 total\n"
		  "Dropped 1 node (cum <= 2)\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "         5 55.00% 55.00%          5 55.00%  read\n"
		  "         2 20.00% 75.00%          5 50.00%  parse\n"
		  "         0  5.00% 80.00%          3 30.00%  step\n"
		  "         0     0% 80.00%          8 80.00%  main\n"
		  "         0     0% 80.00%          3 30.00%  run\n" },
		{ folded, "tree", NULL, { "focus=read", "compact_labels" },
		  "Active filters:\n"
		  "   focus=read\n"
		  "Showing nodes accounting for 55, 55.00% of 100 total\n"
		  "----------------------------------------------------------+-------------\n"
		  "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t \n"
		  "----------------------------------------------------------+-------------\n"
		  "                                                30 54.55% |   parse\n"
		  "                                                25 45.45% |   step\n"
		  "        55 55.00% 55.00%         55 55.00%                | read\n"
		  "----------------------------------------------------------+-------------\n"
		  "         0     0% 55.00%         55 55.00%                | main\n"
		  "                                                30 54.55% |   parse\n"
		  "                                                25 45.45% |   run\n"
		  "----------------------------------------------------------+-------------\n"
		  "                                                30   100% |   main\n"
		  "         0     0% 55.00%         30 30.00%                | parse\n"
		  "                                                30   100% |   read\n"
		  "----------------------------------------------------------+-------------\n"
		  "                                                25   100% |   main\n"
		  "         0     0% 55.00%         25 25.00%                | run\n"
		  "                                                25   100% |   step\n"
		  "----------------------------------------------------------+-------------\n"
		  "                                                25   100% |   run\n"
		  "         0     0% 55.00%         25 25.00%                | step\n"
		  "                                                25   100% |   read\n"
		  "----------------------------------------------------------+-------------\n" },
		{ folded, "peek", "parse", { "compact_labels" },
		  "Showing nodes accounting for 100, 100% of 100 total\n"
		  "----------------------------------------------------------+-------------\n"
		  "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t \n"
		  "----------------------------------------------------------+-------------\n"
		  "                                                50   100% |   main\n"
		  "        20 20.00% 20.00%         50 50.00%                | parse\n"
		  "                                                30 60.00% |   read\n"
		  "----------------------------------------------------------+-------------\n" },
		{ folded, "traces", NULL, { "focus=step" },
		  "Type: samples\n"
		  "-----------+-------------------------------------------------------\n"
		  "        25   read\n"
		  "             step\n"
		  "             run\n"
		  "             main\n"
		  "-----------+-------------------------------------------------------\n"
		  "         5   step\n"
		  "             run\n"
		  "             step\n"
		  "             run\n"
		  "             main\n"
		  "-----------+-------------------------------------------------------\n" },
		{ heap, "top", NULL, { "sample_index=alloc_space" },
		  "File: prog\n"
		  "Type: alloc_space\n"
		  "Showing nodes accounting for 6kB, 100% of 6kB total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "       6kB   100%   100%        6kB   100%  [prog]\n" },
		{ heap, "top", NULL, { "sample_index=inuse_objects", "addresses" },
		  "File: prog\n"
		  "Type: inuse_objects\n"
		  "Showing nodes accounting for 3, 100% of 3 total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "         3   100%   100%          3   100%  0000000000001000 [prog]\n"
		  "         0     0%   100%          1 33.33%  0000000000002000 [prog]\n"
		  "         0     0%   100%          2 66.67%  0000000000003000 [prog]\n" },
		{ heap, "top", NULL, { "mean", "addresses" },
		  "File: prog\n"
		  "Type: mean_inuse_space\n"
		  "Showing nodes accounting for 614B, 100% of 614B total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "      614B   100%   100%       614B   100%  0000000000001000 [prog]\n"
		  "         0     0%   100%       512B 83.39%  0000000000002000 [prog]\n"
		  "         0     0%   100%       682B 111.07%  0000000000003000 [prog]\n" },
		{ heap, "tags", NULL, { NULL },
		  " bytes: Total 3kB of 3kB (  100%)\n"
		  "        3kB (  100%): 1kB\n"
		  "\n" },
		{ heap, "tags", NULL, { "tagfocus=1kb" },
		  " bytes: Total 3kB of 3kB (  100%)\n"
		  "        3kB (  100%): 1kB\n"
		  "\n" },
		{ heap, "top", NULL, { "tagroot=bytes" },
		  "File: prog\n"
		  "Type: inuse_space\n"
		  "Showing nodes accounting for 3kB, 100% of 3kB total\n"
		  "      flat  flat%   sum%        cum   cum%\n"
		  "       3kB   100%   100%        3kB   100%  [prog]\n"
		  "         0     0%   100%        3kB   100%  1024\n" },
		{ folded, "callgrind", NULL, { "focus=parse" },
		  "positions: instr line\n"
		  "events: samples(count)\n"
		  "\n"
		  "ob=\n"
		  "fl=\n"
		  "fn=(1) read\n"
		  "0x0 0 30\n"
		  "\n"
		  "ob=\n"
		  "fl=\n"
		  "fn=(2) parse\n"
		  "* 0 20\n"
		  "cfl=\n"
		  "cfn=(1)\n"
		  "calls=0 * 0\n"
		  "* * 30\n"
		  "\n"
		  "ob=\n"
		  "fl=\n"
		  "fn=(3) main\n"
		  "* 0 0\n"
		  "cfl=\n"
		  "cfn=(2)\n"
		  "calls=0 * 0\n"
		  "* * 50\n" },
		{ folded, "folded", NULL, { "ignore=idle" },
		  "main;parse;read 30\n"
		  "main;parse 20\n"
		  "main;run;step;read 25\n"
		  "main;run;step;run;step 5\n" },
		{ folded, "folded", NULL, { "hide=read|idle" },
		  "main;parse 50\n"
		  "main;run;step 25\n"
		  "main;run;step;run;step 5\n" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = write_report(rows[i].source, rows[i].format, rows[i].argument,
					 rows[i].options);
		if (strcmp(got, rows[i].want) != 0)
			TEST_FAIL("row %zu, %s:\n%s\nwant:\n%s", i, rows[i].format, got,
				  rows[i].want);
		free(got);
	}
}

/* A profile with one inlined call, whose lines have columns. */
static struct cprof_profile *with_columns(void)
{
	struct cprof_profile *p;
	struct cprof_line lines[2] = { { .line = 7, .column = 9 }, { .line = 8, .column = 3 } };
	uint32_t location;
	ok(cprof_profile_new(&p));
	ok(cprof_profile_add_type(p, "samples", "count"));
	ok(cprof_profile_add_type(p, "cpu", "nanoseconds"));
	static const char *const names[] = { "inner", "outer" };
	for (size_t i = 0; i < 2; i++) {
		struct cprof_function function = { 0 };
		ok(cprof_profile_string(p, names[i], &function.name));
		ok(cprof_profile_string(p, "a.c", &function.filename));
		ok(cprof_profile_add_function(p, &function, &lines[i].function));
	}
	ok(cprof_profile_add_location(p, &(struct cprof_location){ .address = 0x10 }, lines, 2,
				      &location));
	ok(cprof_profile_add_sample(p, &location, 1, NULL, 0, (int64_t[]){ 1, -5 }));
	return p;
}

static char *write_columns(const char *format, const char *const *options)
{
	struct cprof_profile *profile = with_columns();
	struct cprof_report *report;
	struct cprof_config config;
	char *text;
	size_t n;
	ok(cprof_config_init(&config));
	set_all(&config, options);
	ok(cprof_report_new(profile, cprof_format_find(format), NULL, &config, &report));
	FILE *out = open_memstream(&text, &n);
	ok(cprof_report_write(report, out));
	fclose(out);
	cprof_report_free(report);
	cprof_profile_free(profile);
	return text;
}

TEST(report_shows_columns_where_addresses_are_as_recorded_or_columns_are_asked_for)
{
	static const struct {
		const char *format;
		const char *options[4];
		const char *want, *not ;
	} rows[] = {
		{ "raw", { NULL }, "a.c:7:9 ", "a.c:7:0" },
		{ "raw", { "noinlines" }, "a.c:8:0 ", "a.c:8:3" },
		{ "raw", { "noinlines", "showcolumns" }, "a.c:8:3 ", "a.c:8:0" },
		{ "traces", { "granularity=addresses" }, "inner a.c:7:9", "a.c:7\n" },
		{ "traces", { "granularity=addresses", "noinlines" }, "outer a.c:8\n", "a.c:8:" },
		{ "traces", { "granularity=lines" }, "inner a.c:7 (inline)\n", "a.c:7:" },
		{ "traces", { "granularity=lines", "showcolumns" }, "inner a.c:7:9", "a.c:7\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *got = write_columns(rows[i].format, rows[i].options);
		if (!strstr(got, rows[i].want) || strstr(got, rows[i].not ))
			TEST_FAIL("row %zu: \"%s\" is wanted, and not \"%s\":\n%s", i, rows[i].want,
				  rows[i].not, got);
		free(got);
	}
}

TEST(report_dot_draws_what_has_become_less_in_blue)
{
	char *got = write_columns("dot", (const char *const[4]){ "sample_index=cpu" });
	CHECK(strstr(got, "color=\"#0000b2\" fillcolor=\"#d5d5ed\""));
	free(got);
	got = write_columns("dot", (const char *const[4]){ "sample_index=samples" });
	CHECK(strstr(got, "color=\"#b20000\" fillcolor=\"#edd5d5\""));
	free(got);
}

/* One node, with `n` labels of one weight. */
static char *draw_labels(unsigned n, const char *key, struct cprof_buffer *warnings)
{
	struct cprof_profile *p = with_columns();
	struct cprof_report *report;
	struct cprof_config config;
	char *text, value[16];
	size_t room;
	for (unsigned i = 0; i < n; i++) {
		struct cprof_label label = { 0 };
		snprintf(value, sizeof(value), "v%u", i);
		ok(cprof_profile_string(p, key, &label.key));
		ok(cprof_profile_string(p, value, &label.text));
		ok(cprof_profile_add_sample(p, p->stacks, 1, &label, 1, (int64_t[]){ 1, 7 }));
	}
	ok(cprof_config_init(&config));
	ok(cprof_report_new(p, cprof_format_find("dot"), NULL, &config, &report));
	FILE *out = open_memstream(&text, &room);
	ok(cprof_report_write(report, out));
	fclose(out);
	cprof_buffer_puts(warnings, cprof_buffer_text(&report->warnings));
	cprof_report_free(report);
	cprof_profile_free(p);
	return text;
}

TEST(report_dot_says_how_many_labels_it_has_no_room_for)
{
	static const struct {
		unsigned n;
		const char *want;
	} rows[] = {
		{ 4, "" },
		{ 5, "not drawn: 1 of the labels, for a node has room for four\n" },
		{ 9, "not drawn: 5 of the labels, for a node has room for four\n" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_buffer warnings = { 0 };
		cprof_buffer_puts(&warnings, "");
		free(draw_labels(rows[i].n, "k", &warnings));
		CHECK_STR(cprof_buffer_text(&warnings), rows[i].want);
		cprof_buffer_deinit(&warnings);
	}
}

TEST(report_proto_makes_the_chosen_type_the_default_of_the_file)
{
	for (uint32_t type = 0; type < 2; type++) {
		struct cprof_profile *profile = with_columns();
		struct cprof_report *report;
		struct cprof_config config;
		char *text;
		size_t n;
		ok(cprof_config_init(&config));
		ok(cprof_config_set(&config, "sample_index", type ? "1" : "samples"));
		ok(cprof_report_new(profile, cprof_format_find("proto"), NULL, &config, &report));
		FILE *out = open_memstream(&text, &n);
		ok(cprof_report_write(report, out));
		fclose(out);
		cprof_report_free(report);
		cprof_profile_free(profile);
		ok(cprof_input_decode((const uint8_t *)text, n, &profile));
		CHECK(profile->default_type);
		CHECK_UINT(cprof_profile_default_type(profile), type);
		cprof_profile_free(profile);
		free(text);
	}
}

TEST(report_refuses_what_makes_no_sense)
{
	static const struct {
		const char *option, *value, *want;
	} rows[] = {
		{ "focus", "(", "parsing focus regexp: error parsing regexp: missing closing )" },
		{ "tagfocus", "a,(", "parsing tagfocus regexp" },
		{ "sample_index", "7", "sample_index 7 is outside the range [0..0]" },
		{ "divide_by", "0", "zero divisor specified" },
	};
	static const char *const none[4] = { NULL };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct cprof_profile *profile;
		struct cprof_report *report = NULL;
		struct cprof_config config;
		ok(cprof_input_decode((const uint8_t *)folded, strlen(folded), &profile));
		ok(cprof_config_init(&config));
		set_all(&config, none);
		ok(cprof_config_set(&config, rows[i].option, rows[i].value));
		struct cprof_error *err =
			cprof_report_new(profile, cprof_format_find("top"), NULL, &config, &report);
		if (!err || err->code != CPROF_ERR_USAGE || !strstr(err->message, rows[i].want))
			TEST_FAIL("%s: \"%s\", want \"%s\"", rows[i].option,
				  err ? err->message : "accepted", rows[i].want);
		cprof_error_free(err);
		cprof_profile_free(profile);
	}
}
