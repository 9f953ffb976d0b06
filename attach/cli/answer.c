/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "attach/cli/output_pattern.h"
#include "base/cleanup.h"
#include "convert/output/format_table.h"
#include "convert/output/graphviz.h"
#include "convert/report/regex.h"
#include "cprof/pprof_read.h"
#include "cprof/pprof_write.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define ROWS "10" /* on a terminal */

/* What a file's name says of it. The longest first where one ends in another. */
static const struct {
	const char *suffix, *format;
} suffixes[] = {
	{ ".speedscope.json", "speedscope" },
	{ ".firefox.json.gz", "firefox" },
	{ ".firefox.json", "firefox" },
	{ ".pb.gz", "pprof" },
	{ ".pb", "pb" },
	{ ".svg", "svg" },
	{ ".png", "png" },
	{ ".pdf", "pdf" },
	{ ".gif", "gif" },
	{ ".ps", "ps" },
	{ ".dot", "dot" },
	{ ".gv", "dot" },
	{ ".html", "flamegraph" },
	{ ".htm", "flamegraph" },
	{ ".json", "json" },
	{ ".txt", "top" },
	{ ".folded", "folded" },
	{ ".collapsed", "folded" },
	{ ".callgrind", "callgrind" },
};

static const char *format_of(const char *path)
{
	size_t n = strlen(path);
	for (size_t i = 0; i < COUNT(suffixes); i++) {
		size_t len = strlen(suffixes[i].suffix);
		if (n >= len && strcasecmp(path + n - len, suffixes[i].suffix) == 0)
			return suffixes[i].format;
	}
	return "pprof";
}

static const char *suffix_of(const char *format)
{
	for (size_t i = 0; i < COUNT(suffixes); i++) {
		if (strcmp(format, suffixes[i].format) == 0)
			return suffixes[i].suffix + 1;
	}
	return "txt";
}

/* The formats that a file can have: those that need no argument, and are shown by no other program. */
static const struct cprof_format *find_for_file(const char *name)
{
	const struct cprof_format *format = cprof_format_find(name);
	return format && !format->arg && !format->viewer ? format : NULL;
}

static struct cprof_error *no_such_format(const char *name)
{
	CPROF_AUTO(buffer) struct cprof_buffer names = { 0 };
	cprof_buffer_puts(&names, "there are pprof, pb");
	for (size_t i = 0; cprof_formats[i]; i++) {
		if (find_for_file(cprof_formats[i]->name))
			cprof_buffer_printf(&names, ", %s", cprof_formats[i]->name);
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "-format: no file can be written as \"%s\"", name);
	return cprof_error_hint(err, "%s", cprof_buffer_text(&names));
}

static struct cprof_error *choose_file(const struct cprof_attach_options *options,
				       struct cprof_answer *answer)
{
	const char *name = options->format ? options->format : format_of(options->output);
	if (strcmp(name, "proto") == 0) /* as the report is called that is such a file */
		name = "pprof";
	answer->plain_file = strcmp(name, "pb") == 0;
	answer->suffix = suffix_of(name);
	answer->path = options->output;
	if (options->text && !options->format && strcmp(answer->suffix, "txt") == 0)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-o %s: what is written there is a report on a profile, "
					"and not the text of -text",
					options->output),
			"redirect stdout, where that text goes; -o is for a profile beside it");
	if (strcmp(name, "pprof") == 0)
		return NULL;
	if (options->output && strstr(options->output, CPROF_OUTPUT_PATTERN_MARK))
		return cprof_error_new(CPROF_ERR_USAGE,
				       "-o with %s, a file for each process, is for pprof files: "
				       "cprof makes a %s of each",
				       CPROF_OUTPUT_PATTERN_MARK, name);
	if (answer->plain_file)
		return NULL;
	answer->file = find_for_file(name);
	if (!answer->file)
		return no_such_format(name);
	if (!answer->file->graphviz || cprof_graphviz_installed())
		return NULL;
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_UNSUPPORTED, "a %s is drawn by Graphviz, which is not installed",
		answer->suffix);
	return cprof_error_hint(err, "apt-get install graphviz; or a name that ends in .html, "
				     "for a flame graph");
}

static struct cprof_error *check_argument(const struct cprof_answer *answer)
{
	if (!answer->argument)
		return NULL;
	struct cprof_regex *regex;
	struct cprof_error *err = cprof_regex_new(answer->argument, &regex);
	if (err)
		return cprof_error_wrap(err, "-%s", answer->report->name);
	cprof_regex_free(regex);
	return NULL;
}

struct cprof_error *cprof_answer_choose(const struct cprof_attach_options *options,
					struct cprof_answer *ret_answer)
{
	const struct {
		bool on;
		const char *argument;
		const struct cprof_format *format;
	} reports[] = {
		{ options->report.top, NULL, &cprof_format_top },
		{ options->report.tree, NULL, &cprof_format_tree },
		{ options->report.traces, NULL, &cprof_format_traces },
		{ options->report.folded, NULL, &cprof_format_folded },
		{ options->report.leaks, NULL, &cprof_format_leaks },
		{ options->report.peek, options->report.peek, &cprof_format_peek },
		{ options->report.list, options->report.list, &cprof_format_list },
	};
	struct cprof_answer answer = { .suffix = "pb.gz" };
	for (size_t i = 0; i < COUNT(reports); i++) {
		if (!reports[i].on)
			continue;
		if (answer.report)
			return cprof_error_new(CPROF_ERR_USAGE,
					       "-%s and -%s are two reports: one at a time, or -o "
					       "FILE and then cprof",
					       answer.report->name, reports[i].format->name);
		answer.report = reports[i].format;
		answer.argument = reports[i].argument;
	}
	struct cprof_error *err = check_argument(&answer);
	if (!err && (options->format || options->output))
		err = choose_file(options, &answer);
	if (!err)
		*ret_answer = answer;
	return err;
}

/* A report changes the profile that it is of, so it gets one of its own. */
static struct cprof_error *write_report(const struct cprof_format *format, const char *argument,
					const struct cprof_config *config,
					const struct cprof_buffer *pprof, FILE *out)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_report *report;
	struct cprof_error *err = cprof_pprof_decode(pprof->data, pprof->len, &profile);
	if (!err)
		err = cprof_report_new(profile, format, argument, config, &report);
	if (err)
		return err;
	err = cprof_report_write(report, out);
	cprof_report_free(report);
	return err;
}

struct cprof_error *cprof_answer_report(const struct cprof_answer *answer,
					const struct cprof_buffer *pprof, FILE *out)
{
	struct cprof_config config;
	struct cprof_error *err = cprof_config_init(&config);
	if (!err)
		err = write_report(answer->report, answer->argument, &config, pprof, out);
	if (!err && fflush(out) != 0)
		err = cprof_error_os(errno, "write to stdout");
	return err;
}

struct cprof_error *cprof_answer_top(const char *mode, const struct cprof_buffer *pprof, FILE *out)
{
	/* Waits have their own place at the leaf always, the same few functions: who waits says more. */
	static const struct {
		const char *mode, *option, *value;
	} choices[] = {
		{ "block", "tagleaf", "thread" },
		{ "mutex", "cum", "true" },
		{ "threads", "cum", "true" },
	};
	struct cprof_config config;
	struct cprof_error *err = cprof_config_init(&config);
	if (!err)
		err = cprof_config_set(&config, "nodecount", ROWS);
	if (!err)
		err = cprof_config_set(&config, "compact_labels", "true");
	for (size_t i = 0; !err && i < COUNT(choices); i++) {
		if (strcmp(mode, choices[i].mode) == 0)
			err = cprof_config_set(&config, choices[i].option, choices[i].value);
	}
	if (!err)
		err = cprof_config_settle(&config);
	return err ? err : write_report(&cprof_format_top, NULL, &config, pprof, out);
}

/* All of a file that was written by its descriptor. */
static struct cprof_error *take_bytes(int fd, struct cprof_buffer *out)
{
	ssize_t n;
	off_t at = 0;
	do {
		uint8_t *room = cprof_buffer_reserve(out, 1 << 16);
		n = room ? pread(fd, room, 1 << 16, at) : -1;
		if (n > 0)
			out->len += (size_t)n;
		at += n;
	} while (n > 0);
	struct cprof_error *err = cprof_buffer_error(out);
	return err || n == 0 ? err : cprof_error_os(errno, "read a report in memory");
}

static struct cprof_error *in_memory(const char *name, FILE **ret_file)
{
	CPROF_AUTO(close) int fd = memfd_create(name, MFD_CLOEXEC);
	*ret_file = fd < 0 ? NULL : fdopen(fd, "w+");
	if (!*ret_file)
		return cprof_error_os(errno, "write a report into memory");
	cprof_take_fd(&fd);
	return NULL;
}

static struct cprof_error *plain(const struct cprof_buffer *pprof, struct cprof_buffer *out)
{
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_pprof_decode(pprof->data, pprof->len, &profile);
	return err ? err : cprof_pprof_encode(profile, 0, out);
}

struct cprof_error *cprof_answer_file(const struct cprof_answer *answer,
				      const struct cprof_buffer *pprof, struct cprof_buffer *out)
{
	CPROF_AUTO(fclose) FILE *report = NULL;
	CPROF_AUTO(fclose) FILE *picture = NULL;
	struct cprof_config config;
	if (answer->plain_file)
		return plain(pprof, out);
	if (!answer->file) {
		cprof_buffer_append(out, pprof->data, pprof->len);
		return cprof_buffer_error(out);
	}
	struct cprof_error *err = cprof_config_init(&config);
	if (answer->path) /* which says more than the format does */
		config.output = answer->path;
	if (!err)
		err = in_memory("report", &report);
	if (!err)
		err = write_report(answer->file, NULL, &config, pprof, report);
	if (!err && answer->file->graphviz)
		err = in_memory("picture", &picture);
	if (!err && picture)
		err = cprof_graphviz_draw(answer->file->graphviz, report, picture);
	FILE *written = picture ? picture : report;
	if (!err && fflush(written) != 0)
		err = cprof_error_os(errno, "write a report into memory");
	return err ? err : take_bytes(fileno(written), out);
}
