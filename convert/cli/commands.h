/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/commands.h - what the parts of the program cprof share: its options, and its table of commands.
 *
 * A command is one thing to do: write a report, run the shell, give a profile names, show the help. The first that the
 * options want is run. Commands live in files cmd_*.c and have a row each in cprof.c; these files and cprof.c are the only
 * ones here that print.
 */
#ifndef CPROF_CONVERT_CLI_COMMANDS_H
#define CPROF_CONVERT_CLI_COMMANDS_H

#include <stdio.h>

#include "base/option_file.h"
#include "base/options.h"
#include "convert/cli/load.h"
#include "convert/report/config.h"
#include "convert/report/report.h"
#include "cprof/error.h"

#define CPROF_MAX_FORMATS 64

struct cprof_options {
	struct cprof_config config; /* first: its rows' offsets are into it */

	struct cprof_strings bases, diff_bases;
	int64_t seconds, timeout_s;
	const char *build_id, *comment, *symbolize, *symbolizer;
	const char *tls_cert, *tls_key, *tls_ca, *tls_least, *auth_file;
	char *auth; /* owned: what the file or the environment says */
	bool all_frames;
	struct {
		const char *url, *service, *spool, *tenant;
		struct cprof_strings labels; /* "key=value" */
		bool override_time, dry_run, insecure_auth;
	} push;
	struct {
		const char *http, *token_file;
		bool no_browser;
	} web;
	bool inuse_space, inuse_objects, alloc_space, alloc_objects;
	bool total_delay, contentions, mean_delay;
	bool help, version, help_man, show_config;
	const char *help_topic;            /* of -help; NULL: none */
	const char *completion;            /* a script for this shell */
	const char *config_file;           /* options from a file */
	struct cprof_option_values below;  /* what the file and the environment say */
	struct cprof_option_layers layers; /* what each row has, and from where */

	bool format_on[CPROF_MAX_FORMATS]; /* formats without a parameter, by their number */
	const char *format_arg[CPROF_MAX_FORMATS]; /* formats with one */

	struct cprof_strings sources; /* what is no option */
	const char *program;          /* the first source, where it is an executable */
};

struct cprof_command {
	const char *name;
	/* Whether the options ask for this command. */
	bool (*wanted)(const struct cprof_options *options);
	bool needs_profile; /* it is loaded before, and `profile` is NULL otherwise */
	struct cprof_error *(*run)(struct cprof_options *options, struct cprof_profile *profile);
};

extern const struct cprof_command cprof_command_help, cprof_command_version, cprof_command_man,
	cprof_command_completion, cprof_command_report, cprof_command_shell,
	cprof_command_show_config, cprof_command_symbolize, cprof_command_push,
	cprof_command_push_spool, cprof_command_web;

/*
 * Give names to addresses that have none, from files of this machine with the right build-id (-symbolize). Silent about
 * what is missing: the report then shows addresses.
 */
struct cprof_error *cprof_command_add_names(const struct cprof_options *options,
					    struct cprof_profile *profile);

/* For cprof_load.add_names, with the options for a context: the same, and then by asking the server. */
struct cprof_error *cprof_command_add_remote_names(void *ctx, const struct cprof_source_url *url,
						   struct cprof_profile *profile);

/*
 * The profile of `sources`, less that of `bases` (NULL or empty: none), with names and without the frames that it says to drop.
 */
struct cprof_error *cprof_command_load(struct cprof_options *options,
				       const struct cprof_strings *sources,
				       const struct cprof_strings *bases,
				       struct cprof_profile **ret_profile);

/* All options of the program; built once by main(). */
extern struct cprof_option_table cprof_option_rows;

/*
 * Prepare and write one report: to `output`, or where that is "" to stdout, through Graphviz and a viewer where the
 * format wants them. Changes `profile`. `shell_dir` is NULL from the command line; the shell never writes binary data to
 * stdout, and has a directory for the pictures that a viewer shows, which it removes ("": as from the command line).
 */
struct cprof_error *cprof_command_write_report(struct cprof_profile *profile,
					       const struct cprof_format *format,
					       const char *argument,
					       const struct cprof_config *config,
					       const char *shell_dir);

/* Lines on stderr. */
extern const struct cprof_say cprof_command_say;

/* The options' certificates. */
struct cprof_tls cprof_command_tls(const struct cprof_options *options);

#endif
