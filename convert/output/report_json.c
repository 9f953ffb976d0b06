/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_json.c - json: the top entries and the calls between them, for scripts.
 *
 * Values are the profile's own numbers in the unit named in "unit"; nothing is rounded.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/graph/graph.h"
#include "convert/output/json.h"
#include "convert/output/node_json.h"

static void put_header(const struct cprof_report *report, const struct cprof_graph *graph,
		       FILE *out)
{
	const struct cprof_profile *p = report->profile;
	cprof_node_json_head(report, "program", out);
	fprintf(out, ",\"total\":%" PRId64 ",\"time_ns\":%" PRId64 ",\"duration_ns\":%" PRId64,
		report->total, p->time_ns, p->duration_ns);
	fprintf(out, ",\n\"nodes_in_all\":%u,\"nodes_dropped\":%u,\n\"comments\":[",
		graph->original_nodes + graph->dropped_nodes, graph->dropped_nodes);
	for (uint32_t i = 0; i < p->n_comments; i++) {
		fputs(i ? "," : "", out);
		cprof_json_put_string(out, cprof_profile_text(p, p->comments[i]));
	}
	fputc(']', out);
}

static void put_edges(const struct cprof_graph *graph, const uint32_t *place, FILE *out)
{
	bool first = true;
	fputs("],\n\"calls\":[", out);
	for (uint32_t i = 0; i < graph->n_edges; i++) {
		const struct cprof_edge *edge = &graph->edges[i];
		if (edge->removed || !place[edge->src] || !place[edge->dest])
			continue;
		fprintf(out,
			"%s\n{\"from\":%u,\"to\":%u,\"value\":%" PRId64
			",\"inline\":%s,\"indirect\":%s}",
			first ? "" : ",", place[edge->src] - 1, place[edge->dest] - 1,
			cprof_graph_edge_weight(graph, i), edge->is_inline ? "true" : "false",
			edge->residual ? "true" : "false");
		first = false;
	}
	fputs("]}\n", out);
}

static struct cprof_error *write_json(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, CPROF_GRAPH_EDGES, &graph);
	if (err)
		return err;
	CPROF_AUTO(free) uint32_t *place = calloc((size_t)graph->n_nodes + 1, sizeof(*place));
	if (!place)
		return cprof_error_no_memory();
	put_header(report, graph, out);
	fputs(",\n\"nodes\":[", out);
	for (uint32_t i = 0; i < graph->n_order; i++) {
		place[graph->order[i]] = i + 1;
		fputs(i ? ",\n{" : "\n{", out);
		cprof_node_json_put(graph, graph->order[i], out);
		fputc('}', out);
	}
	put_edges(graph, place, out);
	return NULL;
}

const struct cprof_format cprof_format_json = {
	.name = "json",
	.help = "the top entries and the calls between them, for scripts",
	.suffix = "json",
	.flags = CPROF_FORMAT_ALL_NODES | CPROF_FORMAT_ANY_STRING,
	.write = write_json,
};
