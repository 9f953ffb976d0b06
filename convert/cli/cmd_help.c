/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/cmd_help.c - cprof -help, -version, and the part of the man page that is made from the options.
 */
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

static struct cprof_error *
print(void make(const struct cprof_option_table *, struct cprof_buffer *), const char *before)
{
	struct cprof_buffer text = { 0 };
	make(&cprof_option_rows, &text);
	printf("%s%s", before, cprof_buffer_text(&text));
	cprof_buffer_deinit(&text);
	return NULL;
}

static bool wants_help(const struct cprof_options *options)
{
	return options->help;
}

static struct cprof_error *run_help(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)options, (void)profile;
	return print(cprof_options_help, intro);
}

const struct cprof_command cprof_command_help = { "help", wants_help, false, run_help };

static bool wants_man(const struct cprof_options *options)
{
	return options->help_man;
}

static struct cprof_error *run_man(struct cprof_options *options, struct cprof_profile *profile)
{
	(void)options, (void)profile;
	return print(cprof_options_man, "");
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
