/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/run_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/printable.h"

void cprof_counts_add(struct cprof_counts *sum, const struct cprof_counts *counts)
{
	sum->samples += counts->samples;
	sum->lost += counts->lost;
	sum->truncated += counts->truncated;
	for (size_t i = 0; i < CPROF_STOP_N; i++)
		sum->stops[i] += counts->stops[i];
	sum->cpu_ns += counts->cpu_ns;
}

void cprof_run_log_deinit(struct cprof_run_log *log)
{
	for (size_t i = 0; i < log->n_notes; i++)
		free(log->notes[i].text);
	free(log->notes);
	free(log->unnamed.root);
	free(log->unnamed.path);
	*log = (struct cprof_run_log){ 0 };
}

static bool known(const struct cprof_run_log *log, const char *text)
{
	for (size_t i = 0; i < log->n_notes; i++) {
		if (strcmp(log->notes[i].text, text) == 0)
			return true;
	}
	return false;
}

void cprof_run_log_note(struct cprof_run_log *log, enum cprof_note_kind kind, const char *fmt, ...)
{
	va_list ap;
	char *text;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	text = cprof_printable_take_lines(text);
	if (known(log, text) || !CPROF_ARRAY_ROOM(log->notes, log->n_notes, log->cap_notes, 1)) {
		free(text);
		return;
	}
	log->notes[log->n_notes++] = (struct cprof_note){ .kind = kind, .text = text };
}
