/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/node_json.h"

#include <inttypes.h>

#include "base/cleanup.h"
#include "convert/output/json.h"

static void put_next(FILE *out, const char *key, const char *value)
{
	fputc(',', out);
	cprof_json_put_member(out, key, value);
}

void cprof_node_json_head(const struct cprof_report *report, const char *title, FILE *out)
{
	CPROF_AUTO(buffer) struct cprof_buffer type = { 0 };
	cprof_report_type_label(report, &type);
	fputc('{', out);
	cprof_json_put_member(out, title, cprof_report_title(report));
	put_next(out, "type", cprof_buffer_text(&type));
	put_next(out, "unit", report->sample_unit);
}

void cprof_node_json_names(const struct cprof_profile *profile, const char *name,
			   const struct cprof_node_info *info, FILE *out)
{
	cprof_json_put_member(out, "name", name);
	if (info->name)
		put_next(out, "function", cprof_profile_text(profile, info->name));
	if (info->file)
		put_next(out, "file", cprof_profile_text(profile, info->file));
}

void cprof_node_json_put(struct cprof_graph *graph, uint32_t node, FILE *out)
{
	const struct cprof_node_info *info = cprof_graph_info(graph, &graph->nodes[node]);
	cprof_node_json_names(graph->report->profile, cprof_graph_name(graph, node), info, out);
	if (info->line)
		fprintf(out, ",\"line\":%" PRId64, info->line);
	if (info->address)
		fprintf(out, ",\"address\":\"0x%" PRIx64 "\"", info->address);
	fprintf(out, ",\"flat\":%" PRId64 ",\"cum\":%" PRId64, cprof_node_flat(&graph->nodes[node]),
		cprof_node_cum(&graph->nodes[node]));
}
