/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/cli/shell_line.h - one line typed into the shell, taken apart: an assignment, a report, or a word.
 *
 * Knows the language, not the terminal: cmd_shell.c reads lines and runs what they mean.
 */
#ifndef CPROF_CONVERT_CLI_SHELL_LINE_H
#define CPROF_CONVERT_CLI_SHELL_LINE_H

#include "convert/report/config.h"
#include "convert/report/report.h"
#include "cprof/error.h"
#include "cprof/intern.h"

enum cprof_shell_kind {
	CPROF_SHELL_NOTHING, /* blank, or an assignment that has been made */
	CPROF_SHELL_REPORT,
	CPROF_SHELL_OPTIONS, /* list them */
	CPROF_SHELL_HELP,
	CPROF_SHELL_QUIT,
};

struct cprof_shell_line {
	enum cprof_shell_kind kind;
	const struct cprof_format *format;
	const char *argument;       /* of the report or of help; NULL: none */
	struct cprof_config config; /* for this report only */
};

/*
 * Read `text`; assignments change *config at once. What is remembered of the text is kept in `memory`. `profile`
 * tells the names of sample types, which are shortcuts. Errors: CPROF_ERR_USAGE.
 */
struct cprof_error *cprof_shell_line_read(const char *text, const struct cprof_profile *profile,
					  struct cprof_config *config, struct cprof_intern *memory,
					  struct cprof_shell_line *ret_line);

/*
 * The `number`-th value that the option `name` takes, for completion: sample types, the names of a choice, true and
 * false. NULL behind the last, and for options that take anything. Borrowed from `profile`, or static.
 */
const char *cprof_shell_line_value(const struct cprof_profile *profile, const char *name,
				   size_t number);

#endif
