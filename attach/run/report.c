#include "attach/run/report.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cprof_report_deinit(struct cprof_report *report)
{
	for (size_t i = 0; i < report->n_notes; i++)
		free(report->notes[i].text);
	free(report->notes);
	free(report->unnamed.root);
	free(report->unnamed.path);
	*report = (struct cprof_report){ 0 };
}

static bool known(const struct cprof_report *report, const char *text)
{
	for (size_t i = 0; i < report->n_notes; i++) {
		if (strcmp(report->notes[i].text, text) == 0)
			return true;
	}
	return false;
}

void cprof_report_note(struct cprof_report *report, enum cprof_note_kind kind, const char *fmt, ...)
{
	va_list ap;
	char *text;
	va_start(ap, fmt);
	int n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	struct cprof_note *notes = NULL;
	if (!known(report, text))
		notes = realloc(report->notes, (report->n_notes + 1) * sizeof(*notes));
	if (!notes) {
		free(text);
		return;
	}
	report->notes = notes;
	notes[report->n_notes++] = (struct cprof_note){ .kind = kind, .text = text };
}
