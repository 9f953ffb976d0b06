/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/page_source.c - the pages of code: source lines and instructions of matching functions, each with what it weighs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/disasm_listing.h"
#include "convert/output/json.h"
#include "convert/output/source_file.h"
#include "convert/output/source_listing.h"
#include "convert/web/web_json.h"
#include "convert/web/web_page.h"

#define MOST_ROUTINES 50u    /* as in pprof's pages */
#define MOST_LINES    20000u /* of all of them */

struct listing {
	struct cprof_report *report;
	struct cprof_graph *graph;
	struct cprof_source_files *files;
	unsigned lines; /* written so far */
	bool whole;
	FILE *out;
};

static void put_line(struct listing *l, int64_t line, const char *text, const uint32_t *nodes,
		     uint32_t n, bool first)
{
	int64_t flat, cum;
	cprof_source_listing_line(l->graph, nodes, n, line, &flat, &cum);
	fprintf(l->out, "%s[%" PRId64 ",%" PRId64 ",%" PRId64 ",", first ? "\n" : ",\n", line, flat,
		cum);
	cprof_json_put_string(l->out, text);
	fputc(']', l->out);
	l->lines++;
}

/* The lines of one function in one file, or why they are not here. */
static void put_text(struct listing *l, const char *file, const uint32_t *nodes, uint32_t n)
{
	struct cprof_source_range range = cprof_source_listing_range(l->graph, nodes, n);
	const char *failure = cprof_source_files_failure(l->files, file);
	if (failure) {
		fputc(',', l->out);
		cprof_json_put_member(l->out, "failure", failure);
	}
	if (l->whole)
		range = (struct cprof_source_range){ 1, INT64_MAX };
	fputs(",\"lines\":[", l->out);
	for (int64_t line = range.first; line <= range.last && l->lines < MOST_LINES; line++) {
		const char *text = cprof_source_files_line(l->files, file, line);
		if (!text)
			break;
		put_line(l, line, text, nodes, n, line == range.first);
	}
	fputc(']', l->out);
}

static void put_routine(struct listing *l, const struct cprof_source_listing *listing,
			const struct cprof_source_routine *routine)
{
	const struct cprof_profile *p = l->report->profile;
	const uint32_t *nodes = listing->nodes + routine->first;
	int64_t flat, cum;
	cprof_graph_sum(l->graph, nodes, routine->n, &flat, &cum);
	fputc('{', l->out);
	cprof_json_put_member(l->out, "function", cprof_profile_text(p, routine->name));
	fputc(',', l->out);
	cprof_json_put_member(l->out, "file", cprof_profile_text(p, routine->file));
	fprintf(l->out, ",\"flat\":%" PRId64 ",\"cum\":%" PRId64, flat, cum);
	if (routine->has_file)
		put_text(l, cprof_profile_text(p, routine->file), nodes, routine->n);
	else
		fputs(",\"failure\":\"the profile does not say where its source is\",\"lines\":[]",
		      l->out);
	fputc('}', l->out);
}

static struct cprof_error *write_lines(struct cprof_report *report, bool whole, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	CPROF_AUTO(source_files) struct cprof_source_files *files = NULL;
	CPROF_AUTO(source_listing) struct cprof_source_listing listing = { 0 };
	struct cprof_error *err = cprof_source_listing_open(report, &listing, &graph, &files);
	if (err)
		return err;
	struct listing l = {
		.report = report, .graph = graph, .files = files, .whole = whole, .out = out
	};
	cprof_web_json_head(report, NULL, out);
	fprintf(out, ",\"n\":%u,\"routines\":[", listing.n_routines);
	for (uint32_t i = 0; i < listing.n_routines && i < MOST_ROUTINES; i++) {
		fputs(i ? ",\n" : "\n", out);
		put_routine(&l, &listing, &listing.routines[i]);
	}
	fputs("]}\n", out);
	return NULL;
}

static struct cprof_error *write_source(struct cprof_report *report, FILE *out)
{
	return write_lines(report, false, out);
}

static struct cprof_error *write_whole(struct cprof_report *report, FILE *out)
{
	return write_lines(report, true, out);
}

#define SOURCE_FLAGS                                                                               \
	(CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_LINES | CPROF_FORMAT_OBJECTS | CPROF_FORMAT_ANY_STRING)

const struct cprof_format cprof_web_source = {
	.name = "source",
	.arg = "RE",
	.help = "",
	.suffix = "json",
	.flags = SOURCE_FLAGS,
	.write = write_source,
};

const struct cprof_format cprof_web_whole_source = {
	.name = "source",
	.arg = "RE",
	.help = "",
	.suffix = "json",
	.flags = SOURCE_FLAGS,
	.write = write_whole,
};

/* ---- instructions ---- */

struct code {
	FILE *out;
	unsigned routines, lines;
	bool first; /* the next is its function's first */
};

static void put_code_begin(void *ctx, const char *name, int64_t flat, int64_t cum)
{
	struct code *code = ctx;
	if (code->routines++ >= MOST_ROUTINES)
		return;
	fputs(code->routines > 1 ? "]},\n{" : "\n{", code->out);
	cprof_json_put_member(code->out, "function", name);
	fprintf(code->out, ",\"flat\":%" PRId64 ",\"cum\":%" PRId64 ",\"lines\":[", flat, cum);
	code->first = true;
}

static void put_code_line(void *ctx, const struct cprof_disasm_line *line)
{
	struct code *code = ctx;
	if (code->lines >= MOST_LINES)
		return;
	fprintf(code->out, "%s[\"%" PRIx64 "\",%" PRId64 ",%" PRId64 ",",
		code->first ? "\n" : ",\n", line->file_addr, line->flat, line->cum);
	cprof_json_put_string(code->out, line->text);
	fputc(',', code->out);
	cprof_json_put_string(code->out, line->function);
	fputc(',', code->out);
	cprof_json_put_string(code->out, line->file);
	fprintf(code->out, ",%" PRId64 "]", line->line);
	code->first = false;
	code->lines++;
}

static struct cprof_error *write_disasm(struct cprof_report *report, FILE *out)
{
	struct code code = { .out = out };
	const struct cprof_disasm_sink sink = { MOST_ROUTINES, put_code_begin, put_code_line,
						&code };
	cprof_web_json_head(report, NULL, out);
	fputs(",\"routines\":[", out);
	struct cprof_error *err = cprof_disasm_listing_walk(report, &sink);
	fprintf(out, "%s],\"n\":%u}\n", code.routines ? "]}" : "", code.routines);
	return err;
}

const struct cprof_format cprof_web_disasm = {
	.name = "disasm",
	.arg = "RE",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ADDRESSES | CPROF_FORMAT_NO_INLINES |
		 CPROF_FORMAT_OBJECTS | CPROF_FORMAT_ANY_STRING,
	.write = write_disasm,
};
