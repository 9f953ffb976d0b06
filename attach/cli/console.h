/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/console.h - what the program says to people, on stderr: lines, notes, the progress of a window, errors.
 *
 * Owns the line that a terminal rewrites. All of it is made printable; -q and -v count here and nowhere else.
 */
#ifndef CPROF_ATTACH_CLI_CONSOLE_H
#define CPROF_ATTACH_CLI_CONSOLE_H

#include <stdbool.h>

#include "attach/cli/cli_options.h"
#include "attach/run/run_log.h"
#include "attach/run/window.h"

struct cprof_console {
	const struct cprof_attach_options *options; /* borrowed */
	struct cprof_run_log *log;                  /* borrowed */
	bool terminal;  /* stderr is one: the progress line rewrites itself */
	bool line_open; /* it stands there without a newline */
};

/* A line, whatever -q says. */
void cprof_console_put(struct cprof_console *console, const char *text);

/* A line, unless -q was given or it is empty. */
void cprof_console_say(struct cprof_console *console, const char *text);

/* The same with a cprof_console as `ctx`, for those who call back. */
void cprof_console_on_put(void *ctx, const char *text);
void cprof_console_on_say(void *ctx, const char *text);

/* The progress line, if one stands there, becomes a line of its own: something else is to be written. */
void cprof_console_end_line(struct cprof_console *console);

/* The notes of the log that were not shown yet; details with -v only. */
void cprof_console_show_notes(struct cprof_console *console);

/* For cprof_window.progress, with a cprof_console as `ctx`. */
void cprof_console_show_progress(void *ctx, const struct cprof_window *window,
				 const struct cprof_counts *counts);

/* Of the terminal, which may change; 0: none, or it does not say. */
unsigned cprof_console_columns(const struct cprof_console *console);

/* Say what went wrong and what to do next. Frees `err`; its exit status (docs/exit-status.md). */
int cprof_console_fail(struct cprof_console *console, struct cprof_error *err);

#endif
