/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cli/summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/shell_word.h"

/* 1234567 -> "1,234,567" */
static void put_count(struct cprof_buffer *out, uint64_t n)
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRIu64, n);
	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			cprof_buffer_putc(out, ',');
		cprof_buffer_putc(out, digits[i]);
	}
}

static void put_number(struct cprof_buffer *out, uint64_t n, const char *what)
{
	put_count(out, n);
	cprof_buffer_printf(out, " %s%s", what, n == 1 ? "" : "s");
}

static double percent(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0.0;
}

void cprof_summary_progress(const struct cprof_window *window, const struct cprof_counts *counts,
			    struct cprof_buffer *out)
{
	uint64_t elapsed_ns = cprof_window_elapsed_ns(window);
	if (window->length_ns) {
		uint64_t left_ns =
			window->length_ns > elapsed_ns ? window->length_ns - elapsed_ns : 0;
		cprof_buffer_printf(out, "%" PRIu64 " s left, ",
				    (uint64_t)((left_ns + CPROF_NS_PER_S - 1) / CPROF_NS_PER_S));
	} else {
		cprof_buffer_printf(out, "%" PRIu64 " s, ",
				    (uint64_t)(elapsed_ns / CPROF_NS_PER_S));
	}
	put_number(out, counts->samples, "sample");
	cprof_buffer_puts(out, ", ");
	put_count(out, counts->lost);
	cprof_buffer_puts(out, " lost, ");
	put_number(out, counts->threads, "thread");
	cprof_buffer_printf(out, ", %.1f %% truncated",
			    percent(counts->truncated, counts->samples));
}

void cprof_summary_fit(struct cprof_buffer *line, unsigned columns)
{
	while (columns && line->len >= columns) {
		size_t at = line->len - 1;
		while (at && !(line->data[at] == ',' && line->data[at + 1] == ' '))
			at--;
		line->len = at ? at : columns - 1;
	}
	if (line->data)
		line->data[line->len] = 0;
}

/* Where a line that begins at `start` is to be broken: the last blank behind a comma that fits; 0: nowhere. */
static size_t break_at(const struct cprof_buffer *text, size_t start, size_t end, unsigned columns)
{
	size_t at = 0;
	for (size_t i = start + 1; i < end && (i - start < columns || !at); i++) {
		if (text->data[i] == ' ' && text->data[i - 1] == ',')
			at = i;
	}
	return at;
}

void cprof_summary_wrap(struct cprof_buffer *text, unsigned columns)
{
	size_t start = 0;
	while (columns && start < text->len) {
		size_t end = start + strcspn((const char *)text->data + start, "\n");
		size_t at = end - start < columns ? 0 : break_at(text, start, end, columns);
		if (at)
			text->data[at] = '\n';
		start = (at ? at : end) + 1;
	}
}

const char *cprof_summary_ending(const struct cprof_window *window)
{
	switch (window->end) {
	case CPROF_WINDOW_STOPPED:
		return "interrupted: saving what was sampled so far";
	case CPROF_WINDOW_EXITED:
		return window->length_ns ? "the target ended early: saving what was sampled"
					 : "the target has ended";
	case CPROF_WINDOW_OPEN:
	case CPROF_WINDOW_TIME:
		break;
	}
	return "";
}

void cprof_summary_end(const struct cprof_counts *counts, uint64_t own_cpu_ns, const char *path,
		       size_t bytes, bool is_profile, struct cprof_buffer *out)
{
	put_number(out, counts->samples, "sample");
	cprof_buffer_puts(out, ", ");
	put_count(out, counts->lost);
	cprof_buffer_printf(out, " lost, %.1f %% truncated, ",
			    percent(counts->truncated, counts->samples));
	put_number(out, counts->stacks, "distinct stack");
	cprof_buffer_printf(out, ", %.1f %% of addresses symbolized, ",
			    percent(counts->named, counts->locations));
	if (counts->left_out) {
		put_number(out, counts->left_out, "file");
		cprof_buffer_puts(out, " left out, ");
	}
	cprof_buffer_printf(out, "own CPU %.3f s\n", (double)own_cpu_ns / 1e9);
	if (!path)
		return;
	cprof_buffer_printf(out, "wrote %s (", path);
	put_count(out, bytes);
	cprof_buffer_puts(out, " bytes)\n");
	if (!is_profile || strcmp(path, "-") == 0)
		return;
	cprof_buffer_puts(out, "next: cprof -top ");
	cprof_shell_word_put(out, path);
	cprof_buffer_puts(out, "\nin a browser: cprof -http=localhost:0 ");
	cprof_shell_word_put(out, path);
	cprof_buffer_putc(out, '\n');
}

void cprof_summary_nameless(const struct cprof_run_log *log, const char *advice,
			    struct cprof_buffer *out)
{
	const char *path = log->unnamed.path, *slash = strrchr(path, '/');
	cprof_buffer_printf(out, "hint: %.0f %% of the addresses are of %s and have no name: ",
			    percent(log->unnamed.locations, log->counts.locations),
			    slash ? slash + 1 : path);
	if (*advice) {
		cprof_buffer_printf(out, "%.*s", (int)strcspn(advice, "\n"), advice);
		return;
	}
	cprof_buffer_puts(out, "cprof-attach -why ");
	cprof_shell_word_put(out, path);
	cprof_buffer_puts(out, " says what would help");
}
