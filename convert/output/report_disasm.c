/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_disasm.c - disasm: the instructions of matching functions, each with what it weighs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/disasm_listing.h"

struct print {
	const struct cprof_report *report;
	FILE *out;
	bool begun;
	/* The place of the instruction before. */
	struct cprof_buffer function, file;
	int64_t line;
};

static const char *value_or_dot(const struct cprof_report *report, int64_t value, char *text)
{
	return value ? cprof_report_format_wide(report, value, 10, text) : ".";
}

static void put_routine(void *ctx, const char *name, int64_t flat, int64_t cum)
{
	struct print *print = ctx;
	const struct cprof_report *report = print->report;
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX], part[32];
	if (!print->begun) /* nothing is printed where nothing matches */
		fprintf(print->out, "Total: %s\n",
			cprof_report_format(report, report->total, flat_text));
	print->begun = true;
	print->function.len = print->file.len = 0;
	print->line = 0;
	fprintf(print->out, "ROUTINE ======================== %s\n", name);
	fprintf(print->out, "%10s %10s (flat, cum) %s of Total\n",
		cprof_report_format_wide(report, flat, 10, flat_text),
		cprof_report_format_wide(report, cum, 10, cum_text),
		cprof_measure_percentage(part, cum, report->total));
}

static bool same(const struct cprof_buffer *before, const char *text)
{
	return before->len == strlen(text) &&
	       memcmp(cprof_buffer_text(before), text, before->len) == 0;
}

/* "function file:line" where it is not that of the instruction before. */
static void compose_place(struct print *print, const struct cprof_disasm_line *line,
			  struct cprof_buffer *out)
{
	if (same(&print->function, line->function) && same(&print->file, line->file) &&
	    line->line == print->line)
		return;
	if (*line->function)
		cprof_buffer_printf(out, "%s ", line->function);
	if (*line->file)
		cprof_buffer_puts(out, line->file);
	if (*line->file && line->line)
		cprof_buffer_printf(out, ":%" PRId64, line->line);
	print->function.len = print->file.len = 0;
	cprof_buffer_puts(&print->function, line->function);
	cprof_buffer_puts(&print->file, line->file);
	print->line = line->line;
}

static void put_line(void *ctx, const struct cprof_disasm_line *line)
{
	struct print *print = ctx;
	char flat[CPROF_MEASURE_LABEL_MAX], cum[CPROF_MEASURE_LABEL_MAX];
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	compose_place(print, line, &text);
	const char *place = cprof_buffer_text(&text);
	bool wide = strlen(line->text) >= 40;
	if (*place && wide)
		fprintf(print->out, "%74s;%s\n", "", place);
	fprintf(print->out, "%10s %10s %10" PRIx64 ": ",
		value_or_dot(print->report, line->flat, flat),
		value_or_dot(print->report, line->cum, cum), line->file_addr);
	if (*place && !wide)
		fprintf(print->out, "%-40s;%s\n", line->text, place);
	else
		fprintf(print->out, "%s\n", line->text);
}

static struct cprof_error *write_disasm(struct cprof_report *report, FILE *out)
{
	struct print print = { .report = report, .out = out };
	const struct cprof_disasm_sink sink = { 0, put_routine, put_line, &print };
	struct cprof_error *err = cprof_disasm_listing_walk(report, &sink);
	if (!err && (print.function.failed || print.file.failed))
		err = cprof_error_no_memory();
	cprof_buffer_deinit(&print.function);
	cprof_buffer_deinit(&print.file);
	return err;
}

const struct cprof_format cprof_format_disasm = {
	.name = "disasm",
	.arg = "RE",
	.help = "the instructions of functions that match (or of the one around an address), with the weight of each",
	.suffix = "txt",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES | CPROF_FORMAT_NO_INLINES |
		 CPROF_FORMAT_OBJECTS,
	.write = write_disasm,
};
