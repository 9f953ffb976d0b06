/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/completion.h - scripts that let a shell complete a program's options, made from its table of options.
 *
 * What a value may be is said by the row's `arg` (FILE, DIR, PID), or by the table's `choices`.
 * Sources: bash(1) "Programmable Completion", zshcompsys(1) _arguments, fish's complete(1).
 */
#ifndef CPROF_BASE_COMPLETION_H
#define CPROF_BASE_COMPLETION_H

#include <stdbool.h>

#include "base/options.h"

struct cprof_completion {
	const char *program;
	const struct cprof_option_table *options;
	bool takes_files;   /* other arguments are files */
	bool takes_command; /* "--" begins a command */
};

/* The shells there is a script for, with blanks between them. */
extern const char *const cprof_completion_shells;

/* Append the script for `shell`. Errors: CPROF_ERR_USAGE, there is none for it. */
struct cprof_error *cprof_completion_write(const struct cprof_completion *completion,
					   const char *shell, struct cprof_buffer *out);

#endif
