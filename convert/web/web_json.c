/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/web/web_json.h"

#include <inttypes.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/graph_labels.h"
#include "convert/output/json.h"

static void put_lines(FILE *out, const char *text)
{
	const char *separator = "";
	while (*text) {
		CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
		size_t n = strcspn(text, "\n");
		cprof_buffer_append(&line, text, n);
		fputs(separator, out);
		cprof_json_put_string(out, cprof_buffer_text(&line));
		separator = ",";
		text += n + (text[n] == '\n');
	}
}

void cprof_web_json_head(const struct cprof_report *report, const struct cprof_graph *graph,
			 FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer type = { 0 }, labels = { 0 };
	cprof_report_type_label(report, &type);
	if (graph)
		cprof_graph_labels(graph, false, &labels);
	else
		cprof_report_profile_labels(report, &labels);
	fputc('{', out);
	cprof_json_put_member(out, "title", cprof_report_title(report));
	fputc(',', out);
	cprof_json_put_member(out, "type", cprof_buffer_text(&type));
	fputc(',', out);
	cprof_json_put_member(out, "unit", report->sample_unit);
	fprintf(out, ",\"total\":%" PRId64 ",\"ratio\":%.17g,\"labels\":[", report->total,
		report->ratio);
	put_lines(out, cprof_buffer_text(&labels));
	fputc(']', out);
}

void cprof_web_json_node(struct cprof_graph *graph, uint32_t node, FILE *out)
{
	const struct cprof_profile *p = graph->report->profile;
	const struct cprof_node_info *info = cprof_graph_info(graph, &graph->nodes[node]);
	cprof_json_put_member(out, "name", cprof_graph_name(graph, node));
	if (info->name) {
		fputc(',', out);
		cprof_json_put_member(out, "function", cprof_profile_text(p, info->name));
	}
	if (info->file) {
		fputc(',', out);
		cprof_json_put_member(out, "file", cprof_profile_text(p, info->file));
	}
	if (info->line)
		fprintf(out, ",\"line\":%" PRId64, info->line);
	if (info->address)
		fprintf(out, ",\"address\":\"0x%" PRIx64 "\"", info->address);
	fprintf(out, ",\"flat\":%" PRId64 ",\"cum\":%" PRId64, cprof_node_flat(&graph->nodes[node]),
		cprof_node_cum(&graph->nodes[node]));
}
