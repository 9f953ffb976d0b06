/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_list.c - list: the source of matching functions, each line with what it weighs.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/graph.h"
#include "convert/output/source_file.h"
#include "convert/output/source_listing.h"

static const char *value_or_dot(const struct cprof_report *report, int64_t value, char *text)
{
	return value ? cprof_report_format_wide(report, value, 10, text) : ".";
}

static void put_file(struct cprof_report *report, struct cprof_graph *graph,
		     struct cprof_source_files *files, const uint32_t *nodes, uint32_t n, FILE *out)
{
	const struct cprof_profile *p = report->profile;
	const struct cprof_node_info *info = cprof_graph_info(graph, &graph->nodes[nodes[0]]);
	const char *file = cprof_profile_text(p, info->file);
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX], part[32];
	int64_t flat, cum;
	cprof_graph_sum(graph, nodes, n, &flat, &cum);
	fprintf(out, "ROUTINE ======================== %s in %s\n",
		cprof_profile_text(p, info->name), file);
	fprintf(out, "%10s %10s (flat, cum) %s of Total\n",
		cprof_report_format_wide(report, flat, 10, flat_text),
		cprof_report_format_wide(report, cum, 10, cum_text),
		cprof_measure_percentage(part, cum, report->total));
	struct cprof_source_range range = cprof_source_listing_range(graph, nodes, n);
	const char *failure = cprof_source_files_failure(files, file);
	if (failure) {
		fprintf(out, " Error: %s\n", failure);
		return;
	}
	for (int64_t line = range.first; line <= range.last; line++) {
		const char *text = cprof_source_files_line(files, file, line);
		if (!text)
			break;
		cprof_source_listing_line(graph, nodes, n, line, &flat, &cum);
		fprintf(out, "%10s %10s %6" PRId64 ":%s\n", value_or_dot(report, flat, flat_text),
			value_or_dot(report, cum, cum_text), line, text);
	}
}

static struct cprof_error *write_list(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	CPROF_AUTO(source_files) struct cprof_source_files *files = NULL;
	CPROF_AUTO(source_listing) struct cprof_source_listing listing = { 0 };
	struct cprof_error *err = cprof_source_listing_open(report, &listing, &graph, &files);
	if (err)
		return err;
	char total[CPROF_MEASURE_LABEL_MAX];
	fprintf(out, "Total: %s\n", cprof_report_format(report, report->total, total));
	for (uint32_t i = 0; i < listing.n_routines; i++) {
		const struct cprof_source_routine *routine = &listing.routines[i];
		if (routine->has_file)
			put_file(report, graph, files, listing.nodes + routine->first, routine->n,
				 out);
		else
			fprintf(out, "No source information for %s\n",
				cprof_profile_text(report->profile, routine->name));
	}
	return NULL;
}

const struct cprof_format cprof_format_list = {
	.name = "list",
	.arg = "RE",
	.help = "the source of functions that match, with the weight of each line",
	.suffix = "txt",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_LINES | CPROF_FORMAT_OBJECTS,
	.write = write_list,
};
