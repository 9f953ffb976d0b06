/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_leaks.c - leaks: stacks whose blocks live long and grow in sum, as text and as JSON.
 */
#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/output/json.h"
#include "convert/output/leaks.h"
#include "convert/report/report.h"

#define FRAMES 16u /* of a stack, from the leaf on */

/* "1.50MB" */
static const char *bytes_text(double bytes, char *text)
{
	return cprof_measure_label_text(text, cprof_measure_truncate(bytes), "bytes", "auto");
}

static const char *per_minute(double per_s, char *text)
{
	return bytes_text(per_s * 60, text);
}

static void put_line(const struct cprof_leak *row, FILE *out)
{
	char slope[CPROF_MEASURE_LABEL_MAX], low[CPROF_MEASURE_LABEL_MAX],
		high[CPROF_MEASURE_LABEL_MAX], inuse[CPROF_MEASURE_LABEL_MAX],
		old[CPROF_MEASURE_LABEL_MAX];
	fprintf(out, "%11s %11s %11s %11s %11s %8.0f  %-5s", per_minute(row->slope.value, slope),
		per_minute(row->slope.low > 0 ? row->slope.low : 0, low),
		per_minute(row->slope.high, high), bytes_text(row->inuse, inuse),
		bytes_text(row->old, old), row->samples, row->sure ? "yes" : "maybe");
}

static void put_row(struct cprof_leaks *leaks, const struct cprof_leak *row, FILE *out)
{
	const size_t from = leaks->stacks.start[row->sample];
	size_t at = leaks->stacks.start[row->sample + 1];
	const size_t to = at - from > FRAMES ? at - FRAMES : from;
	put_line(row, out);
	if (leaks->n_processes > 1)
		fprintf(out, "  process %" PRId64 ":\n%*s", leaks->processes[row->process], 76, "");
	if (at == from)
		fputs("  (no stack)\n", out);
	for (bool first = true; at > to; first = false)
		fprintf(out, "%*s  %s\n", first ? 0 : 76, "",
			cprof_node_infos_name(&leaks->infos, leaks->stacks.frames[--at]));
	if (to > from)
		fprintf(out, "%*s  ... and %zu more\n", 76, "", to - from);
}

static void put_explanation(const struct cprof_leaks *leaks, FILE *out)
{
	const double from = leaks->moments[leaks->first];
	const double to = leaks->moments[leaks->n_moments - 1];
	const uint32_t n = leaks->n_moments - leaks->first;
	if (leaks->ages)
		fprintf(out,
			"Blocks that have lived %g s or longer, at %u moments from %.1f s to %.1f s. "
			"What lives less than %.0f s does not grow here.\n",
			leaks->old_s, n, from, to, to / 2);
	else
		fprintf(out,
			"All blocks, at %u moments from %.1f s to %.1f s. What is not yet at its level "
			"grows here as well.\n",
			n, from, to);
}

static void put_head(const struct cprof_report *report, const struct cprof_leaks *leaks,
		     uint32_t shown, FILE *out)
{
	char text[CPROF_MEASURE_LABEL_MAX], error[CPROF_MEASURE_LABEL_MAX];
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	if (!report->config.compact_labels)
		cprof_report_profile_labels(report, &labels);
	fputs(cprof_buffer_text(&labels), out);
	put_explanation(leaks, out);
	fprintf(out, "All stacks together: %s a minute, standard error %s\n",
		per_minute(leaks->whole.slope.value, text),
		per_minute(leaks->whole.slope.error, error));
	if (!leaks->n_grow) {
		fprintf(out, "No stack grows, of %u\n", leaks->n);
		return;
	}
	fprintf(out,
		"Showing %u of %u stacks that grow, of %u; %u for sure: at least and at most are each right in %d of 100 cases\n",
		shown, leaks->n_grow, leaks->n, leaks->n_sure, CPROF_SLOPE_CONFIDENCE);
	fprintf(out, "%11s %11s %11s %11s %11s %8s  %-5s  %s\n", "per minute", "at least",
		"at most", "in use", leaks->ages ? "of it old" : "of it", "samples", "sure",
		"stack");
}

static uint32_t shown_rows(const struct cprof_report *report, const struct cprof_leaks *leaks)
{
	const int64_t most = report->config.nodecount;
	return most > 0 && most < leaks->n_grow ? (uint32_t)most : leaks->n_grow;
}

static struct cprof_error *write_leaks(struct cprof_report *report, FILE *out)
{
	struct cprof_leaks leaks;
	struct cprof_error *err = cprof_leaks_init(&leaks, report);
	if (!err) {
		const uint32_t shown = shown_rows(report, &leaks);
		put_head(report, &leaks, shown, out);
		for (uint32_t i = 0; i < shown; i++)
			put_row(&leaks, &leaks.rows[i], out);
	}
	cprof_leaks_deinit(&leaks);
	return err;
}

const struct cprof_format cprof_format_leaks = {
	.name = "leaks",
	.help = "of a heap profile with a history, or of several files: stacks whose blocks live long and grow in sum, and how sure that is",
	.suffix = "txt",
	.flags = CPROF_FORMAT_SERIES,
	.write = write_leaks,
};

/* ---- for programs ---- */

static void put_points(const char *key, const struct cprof_slope_point *points, uint32_t n,
		       FILE *out)
{
	fprintf(out, ",\"%s\":[", key);
	for (uint32_t i = 0; i < n; i++)
		fprintf(out, "%s%.0f", i ? "," : "", points[i].value);
	fputc(']', out);
}

static void put_json_row(struct cprof_leaks *leaks, const struct cprof_leak *row, bool has_stack,
			 FILE *out)
{
	fprintf(out,
		"{\"bytes_per_second\":%.3f,\"standard_error\":%.3f,\"at_least\":%.3f,"
		"\"at_most\":%.3f,\"inuse_bytes\":%.0f,\"old_bytes\":%.0f,\"old_samples\":%.0f,"
		"\"sure\":%s",
		row->slope.value, row->slope.error, row->slope.low, row->slope.high, row->inuse,
		row->old, row->samples, row->sure ? "true" : "false");
	put_points("inuse", row->all, leaks->n_moments, out);
	put_points("old", row->aged, leaks->n_moments, out);
	if (has_stack) {
		const size_t from = leaks->stacks.start[row->sample];
		if (leaks->n_processes > 1)
			fprintf(out, ",\"pid\":%" PRId64, leaks->processes[row->process]);
		fputs(",\"stack\":[", out);
		for (size_t at = leaks->stacks.start[row->sample + 1]; at-- > from;) {
			cprof_json_put_string(out, cprof_node_infos_name(&leaks->infos,
									 leaks->stacks.frames[at]));
			fputs(at > from ? "," : "", out);
		}
		fputc(']', out);
	}
	fputc('}', out);
}

static struct cprof_error *write_json(struct cprof_report *report, FILE *out)
{
	struct cprof_leaks leaks;
	struct cprof_error *err = cprof_leaks_init(&leaks, report);
	if (!err) {
		const uint32_t shown = shown_rows(report, &leaks);
		fprintf(out,
			"{\"confidence\":%d,\"old_seconds\":%g,\"from_moment\":%u,\"seconds\":[",
			CPROF_SLOPE_CONFIDENCE, leaks.old_s, leaks.first);
		for (uint32_t i = 0; i < leaks.n_moments; i++)
			fprintf(out, "%s%.3f", i ? "," : "", leaks.moments[i]);
		fputs("],\"whole\":", out);
		put_json_row(&leaks, &leaks.whole, false, out);
		fprintf(out, ",\"stacks\":%u,\"growing\":%u,\"sure\":%u,\"rows\":[", leaks.n,
			leaks.n_grow, leaks.n_sure);
		for (uint32_t i = 0; i < shown; i++) {
			fputs(i ? "," : "", out);
			put_json_row(&leaks, &leaks.rows[i], true, out);
		}
		fputs("]}\n", out);
	}
	cprof_leaks_deinit(&leaks);
	return err;
}

const struct cprof_format cprof_format_leaks_json = {
	.name = "leaks_json",
	.help = "the same as JSON, with what was in use at each moment",
	.suffix = "json",
	.flags = CPROF_FORMAT_SERIES,
	.write = write_json,
};
