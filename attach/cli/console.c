/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/console.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attach/cli/summary.h"
#include "base/cleanup.h"
#include "base/printable_text.h"

void cprof_console_end_line(struct cprof_console *console)
{
	if (console->line_open)
		fputc('\n', stderr);
	console->line_open = false;
}

void cprof_console_put(struct cprof_console *console, const char *text)
{
	cprof_console_end_line(console);
	cprof_printable_write(stderr, text, strlen(text));
	fputc('\n', stderr);
}

void cprof_console_say(struct cprof_console *console, const char *text)
{
	if (!console->options->quiet && *text)
		cprof_console_put(console, text);
}

void cprof_console_on_put(void *ctx, const char *text)
{
	cprof_console_put(ctx, text);
}

void cprof_console_on_say(void *ctx, const char *text)
{
	cprof_console_say(ctx, text);
}

void cprof_console_show_notes(struct cprof_console *console)
{
	for (size_t i = 0; i < console->log->n_notes; i++) {
		struct cprof_note *note = &console->log->notes[i];
		if (note->shown || console->options->quiet ||
		    (note->kind == CPROF_NOTE_DETAIL && !console->options->verbose))
			continue;
		cprof_console_end_line(console);
		cprof_printable_printf(stderr, "%s%s\n",
				       cprof_note_warns(note->kind) ? "warning: " : "", note->text);
		note->shown = true;
	}
}

unsigned cprof_console_columns(const struct cprof_console *console)
{
	struct winsize size;
	return console->terminal && ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

void cprof_console_show_progress(void *ctx, const struct cprof_window *window,
				 const struct cprof_counts *counts)
{
	struct cprof_console *console = ctx;
	cprof_console_show_notes(console);
	if (console->options->quiet)
		return;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_summary_progress(window, counts, &text);
	cprof_summary_fit(&text, cprof_console_columns(console));
	if (console->terminal) {
		fprintf(stderr, "\r%s\033[K", cprof_buffer_text(&text));
		console->line_open = true;
	} else {
		fprintf(stderr, "%s\n", cprof_buffer_text(&text));
	}
	fflush(stderr);
}

int cprof_console_fail(struct cprof_console *console, struct cprof_error *err)
{
	int status = cprof_error_exit_status(err);
	cprof_console_show_notes(console);
	cprof_console_end_line(console);
	cprof_printable_printf(stderr, "cprof-attach: %s\n", err->message);
	if (err->hint)
		cprof_printable_printf(stderr, "hint: %s\n", err->hint);
	cprof_error_free(err);
	return status;
}
