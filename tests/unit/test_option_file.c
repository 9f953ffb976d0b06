/* SPDX-License-Identifier: Apache-2.0 */
#include "base/option_file.h"
#include "base/option_show.h"
#include <stdio.h>

#include "tests/unit/test.h"

struct values {
	bool lazy;
	const char *service;
	uint64_t every_ns;
	struct cprof_strings push, label;
};

#define AT(field) offsetof(struct values, field)
/* clang-format off */
static const struct cprof_option rows[] = {
	{ "lazy", CPROF_OPT_SWITCH, AT(lazy), NULL, NULL, "a switch", "General" },
	{ "service", CPROF_OPT_STRING, AT(service), "none", "NAME", "a name", NULL },
	{ "every", CPROF_OPT_DURATION, AT(every_ns), "15s", "TIME", "a time", NULL },
	{ "push", CPROF_OPT_LIST, AT(push), NULL, "URL", "a list", NULL },
	{ "label", CPROF_OPT_LIST, AT(label), NULL, "K=V", "a list", NULL },
	{ "config", CPROF_OPT_STRING, AT(service), NULL, "FILE", "a file", NULL },
	{ "man", CPROF_OPT_SWITCH, AT(lazy), NULL, NULL, "hidden", "hidden" },
};
/* clang-format on */
#define N_ROWS (sizeof(rows) / sizeof(rows[0]))
static const struct cprof_option_table table = { .rows = rows, .n_rows = N_ROWS };

static struct cprof_error *read_text(const char *text, struct cprof_option_values *values)
{
	return cprof_option_file_parse(text, strlen(text), "f", values);
}

TEST(option_file_reads_names_and_values)
{
	static const struct {
		const char *line, *name, *value;
	} lines[] = {
		{ "push = http://h/#x", "push", "http://h/#x" },
		{ "\t push=http://h   # that one\r", "push", "http://h" },
		{ "label = k=a b", "label", "k=a b" },
		{ "label = \"k= a # b\\\"\\\\\" # c", "label", "k= a # b\"\\" },
		{ "label = \"a\\n\"", "label", "a\\n" },
		{ "lazy", "lazy", "true" },
		{ "lazy # yes", "lazy", "true" },
		{ "service =", "service", "" },
		{ "service = # none", "service", "" },
		{ "push-as = raw", "push-as", "raw" },
	};
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct cprof_option_values values = { 0 };
		CHECK(!read_text(lines[i].line, &values));
		CHECK_UINT(values.len, 1);
		CHECK_STR(values.items[0].name, lines[i].name);
		CHECK_STR(values.items[0].text, lines[i].value);
		cprof_option_values_deinit(&values);
	}
}

TEST(option_file_says_which_line_and_nothing_that_is_in_it)
{
	static const char *const lines[] = { "-push = x",      "push http://h", "[section]",
					     "root:$6$abc:1",  "= x",           "label = \"a",
					     "label = \"a\" b" };
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct cprof_option_values values = { 0 };
		char text[64];
		snprintf(text, sizeof(text), "# one\n\n%s\nlazy\n", lines[i]);
		struct cprof_error *err = read_text(text, &values);
		CHECK(err && err->code == CPROF_ERR_USAGE && err->hint);
		CHECK_STR(err->message, "f:3: this line is not understood");
		cprof_error_free(err);
		cprof_option_values_deinit(&values);
	}
	struct cprof_option_values values = { 0 };
	struct cprof_error *err = cprof_option_file_parse("a\0b", 3, "f", &values);
	CHECK(err && err->code == CPROF_ERR_USAGE);
	cprof_error_free(err);
}

static struct cprof_error *parse(struct cprof_option_values *below,
				 struct cprof_option_layers *layers, int argc, char **argv,
				 struct values *values)
{
	struct cprof_strings rest = { 0 };
	*layers = (struct cprof_option_layers){ .below = below->items, .n_below = below->len };
	layers->rows = calloc(N_ROWS, sizeof(*layers->rows));
	return cprof_options_parse_layers(&table, layers, argc, argv, values, &rest, NULL);
}

TEST(option_layers_go_before_each_other_and_a_list_is_of_one_layer)
{
	struct cprof_option_values below = { 0 };
	struct cprof_option_layers layers;
	struct values values = { 0 };
	char *argv[] = { (char[]){ "program" }, (char[]){ "-push" }, (char[]){ "c" } };
	CHECK(!read_text("push = a\npush = b\nlabel = x=1\nlabel = y=2\nservice = file\nlazy\n",
			 &below));
	CHECK(!cprof_option_values_add(&below, "service", "shop", "OTEL_SERVICE_NAME",
				       CPROF_OPTION_ENVIRONMENT));
	CHECK(!parse(&below, &layers, 3, argv, &values));
	CHECK_UINT(values.push.len, 1);
	CHECK_STR(values.push.items[0], "c");
	CHECK_UINT(values.label.len, 2);
	CHECK_STR(values.label.items[1], "y=2");
	CHECK_STR(values.service, "shop");
	CHECK_UINT(values.every_ns, 15000000000);
	CHECK(values.lazy);
	static const char *const skip[] = { "config", NULL };
	struct cprof_buffer shown = { 0 };
	cprof_option_show(&table, &layers, skip, &shown);
	CHECK_STR(cprof_buffer_text(&shown),
		  "lazy = true                                     # f:6\n"
		  "service = shop                                  # OTEL_SERVICE_NAME\n"
		  "every = 15s                                     # default\n"
		  "push = c                                        # command line\n"
		  "label = x=1                                     # f:3\n"
		  "label = y=2                                     # f:4\n");
	cprof_buffer_deinit(&shown);
	cprof_option_layers_deinit(&layers, N_ROWS);
	cprof_option_values_deinit(&below);
	cprof_strings_deinit(&values.push);
	cprof_strings_deinit(&values.label);
}

TEST(option_layers_name_the_origin_of_what_is_wrong)
{
	struct cprof_option_values below = { 0 };
	struct cprof_option_layers layers;
	struct values values = { 0 };
	char *argv[] = { (char[]){ "program" } };
	CHECK(!read_text("every = soon\n", &below));
	struct cprof_error *err = parse(&below, &layers, 1, argv, &values);
	CHECK(err && strncmp(err->message, "f:1: -every: \"soon\" is not", 26) == 0);
	cprof_error_free(err);
	cprof_option_layers_deinit(&layers, N_ROWS);
	cprof_option_values_deinit(&below);
	CHECK(!read_text("\nlazzy\n", &below));
	err = parse(&below, &layers, 1, argv, &values);
	CHECK(err);
	CHECK_STR(err->message, "f:2: unknown option -lazzy");
	CHECK(err->hint && strstr(err->hint, "-lazy"));
	cprof_error_free(err);
	cprof_option_layers_deinit(&layers, N_ROWS);
	cprof_option_values_deinit(&below);
}

TEST(option_show_keeps_secrets)
{
	struct cprof_option_values below = { 0 };
	struct cprof_option_layers layers;
	struct values values = { 0 };
	char *argv[] = { (char[]){ "program" } };
	static const char *const skip[] = { NULL };
	struct cprof_buffer shown = { 0 };
	CHECK(!read_text("push = http://me:hunter2@h/p?key=hunter2\nlabel = token=hunter2\n",
			 &below));
	CHECK(!parse(&below, &layers, 1, argv, &values));
	cprof_option_show(&table, &layers, skip, &shown);
	CHECK(!strstr(cprof_buffer_text(&shown), "hunter2"));
	CHECK(strstr(cprof_buffer_text(&shown), "...@h/p"));
	CHECK(strstr(cprof_buffer_text(&shown), "label = token=..."));
	cprof_buffer_deinit(&shown);
	cprof_option_layers_deinit(&layers, N_ROWS);
	cprof_option_values_deinit(&below);
	cprof_strings_deinit(&values.push);
	cprof_strings_deinit(&values.label);
}

TEST(options_peek_finds_a_value_before_the_command)
{
	char *const argv[] = { (char[]){ "p" }, (char[]){ "-config=a" }, (char[]){ "--config" },
			       (char[]){ "b" }, (char[]){ "--" },        (char[]){ "-config=c" } };
	CHECK_STR(cprof_options_peek(6, argv, "config"), "b");
	CHECK(!cprof_options_peek(6, argv, "conf"));
	CHECK(!cprof_options_peek(1, argv, "config"));
}
