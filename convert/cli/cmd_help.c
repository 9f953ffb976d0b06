/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_help.c - cprof -help, -version, and the part of the man page that is made from the options.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/completion.h"
#include "base/version.h"
#include "convert/cli/commands.h"

static const char intro[] =
	"usage: cprof [REPORT] [options] [PROGRAM] FILE|URL...\n"
	"       cprof [options] FILE|URL...            an interactive shell\n"
	"       cprof -http=[HOST]:PORT [options] FILE|URL...   in a browser\n"
	"\n"
	"Show profiles in the pprof format, and older ones. Several sources are merged.\n";

static const char examples[] =
	"\nExamples:\n"
	"  cprof -top cpu.pb.gz                         the heaviest functions\n"
	"  cprof -list='^main$' cpu.pb.gz               source, line by line\n"
	"  cprof -http=localhost:8999 cpu.pb.gz         look at it in the browser\n"
	"  cprof -flamegraph -o cpu.html cpu.pb.gz      one page to send to somebody\n"
	"  cprof -top -diff_base=old.pb.gz new.pb.gz    what changed\n"
	"  cprof -top http://127.0.0.1:6060/debug/pprof/profile    from a running program\n"
	"  cprof cpu.pb.gz                              a shell: top10, list, peek, ...\n";

/* Short on a terminal. */
static struct cprof_error *put_help(const char *topic, struct cprof_buffer *out)
{
	const bool all = topic ? strcmp(topic, "all") == 0 : !isatty(STDOUT_FILENO);
	if (topic && !all)
		return cprof_options_help_about(&cprof_option_rows, topic, out);
	cprof_buffer_puts(out, intro);
	cprof_buffer_puts(out, examples);
	if (all) {
		cprof_options_help(&cprof_option_rows, out);
		return NULL;
	}
	cprof_buffer_puts(
		out,
		"\nMore: -help all, man cprof, or -help with one of these, or an option without its dash:\n");
	cprof_options_topics(&cprof_option_rows, 2, out);
	return NULL;
}

static bool wants_help(const struct cprof_options *options)
{
	return options->help;
}

static struct cprof_error *run_help(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)profile;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = put_help(options->help_topic, &text);
	if (!err)
		fputs(cprof_buffer_text(&text), stdout);
	return err;
}

const struct cprof_command cprof_command_help = { "help", wants_help, false, run_help };

static bool wants_man(const struct cprof_options *options)
{
	return options->help_man;
}

static struct cprof_error *run_man(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)options, (void)profile;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_options_man(&cprof_option_rows, &text);
	fputs(cprof_buffer_text(&text), stdout);
	return NULL;
}

const struct cprof_command cprof_command_man = { "man", wants_man, false, run_man };

static bool wants_completion(const struct cprof_options *options)
{
	return options->completion != NULL;
}

static struct cprof_error *run_completion(struct cprof_options *options,
					  struct cprof_profile *profile)
{
	(void)profile;
	const struct cprof_completion completion = { .program = "cprof",
						     .options = &cprof_option_rows,
						     .takes_files = true };
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_completion_write(&completion, options->completion, &text);
	if (!err)
		fputs(cprof_buffer_text(&text), stdout);
	return err ? cprof_error_wrap(err, "-completion") : NULL;
}

const struct cprof_command cprof_command_completion = { "completion", wants_completion, false,
							run_completion };

static bool wants_version(const struct cprof_options *options)
{
	return options->version;
}

static struct cprof_error *run_version(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)options, (void)profile;
	printf("cprof %s\n", CPROF_VERSION);
	return NULL;
}

const struct cprof_command cprof_command_version = { "version", wants_version, false, run_version };
