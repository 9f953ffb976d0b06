/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/page_top.c - the pages of functions: top, peek with callers and callees, and the graph of calls.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/graph/graph.h"
#include "convert/output/json.h"
#include "convert/output/node_json.h"
#include "convert/web/web_json.h"
#include "convert/web/web_page.h"

/* What every call of a node says: 0 called, 1 always inlined, 2 sometimes. */
static int inlining(const struct cprof_graph *graph, const struct cprof_node *node)
{
	bool inlined = false, called = false;
	for (uint32_t e = node->first_in; e != CPROF_GRAPH_NONE; e = graph->edges[e].next_in) {
		if (graph->edges[e].removed)
			continue;
		inlined = inlined || graph->edges[e].is_inline;
		called = called || !graph->edges[e].is_inline;
	}
	return !inlined ? 0 : called ? 2 : 1;
}

static struct cprof_error *write_top(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, CPROF_GRAPH_EDGES, &graph);
	if (err)
		return err;
	cprof_web_json_head(report, graph, out);
	fprintf(out, ",\"nodes_in_all\":%u,\"nodes\":[",
		graph->original_nodes + graph->dropped_nodes);
	for (uint32_t i = 0; i < graph->n_order; i++) {
		fputs(i ? ",\n{" : "\n{", out);
		cprof_node_json_put(graph, graph->order[i], out);
		fprintf(out, ",\"inlined\":%d}", inlining(graph, &graph->nodes[graph->order[i]]));
	}
	fputs("]}\n", out);
	return NULL;
}

const struct cprof_format cprof_web_top = {
	.name = "top",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_ALL_NODES | CPROF_FORMAT_ANY_STRING,
	.write = write_top,
};

static struct cprof_error *put_calls(struct cprof_graph *graph, uint32_t node, bool incoming,
				     FILE *out)
{
	CPROF_AUTO(free) uint32_t *edges = NULL;
	uint32_t n;
	struct cprof_error *err = cprof_graph_edges(graph, node, incoming, &edges, &n);
	if (err)
		return err;
	fprintf(out, ",\n\"%s\":[", incoming ? "callers" : "callees");
	for (uint32_t i = 0; i < n; i++) {
		const struct cprof_edge *edge = &graph->edges[edges[i]];
		fputs(i ? ",{" : "{", out);
		cprof_json_put_member(out, "name",
				      cprof_graph_name(graph, incoming ? edge->src : edge->dest));
		fprintf(out, ",\"value\":%" PRId64 ",\"inlined\":%d}",
			cprof_graph_edge_weight(graph, edges[i]), edge->is_inline);
	}
	fputc(']', out);
	return NULL;
}

static struct cprof_error *write_peek(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, CPROF_GRAPH_EDGES, &graph);
	if (err)
		return err;
	cprof_web_json_head(report, graph, out);
	fputs(",\"nodes\":[", out);
	bool any = false;
	for (uint32_t i = 0; !err && i < graph->n_order; i++) {
		uint32_t node = graph->order[i];
		if (!cprof_regex_match(report->symbol, cprof_graph_name(graph, node)))
			continue;
		fputs(any ? ",\n{" : "\n{", out);
		any = true;
		cprof_node_json_put(graph, node, out);
		err = put_calls(graph, node, true, out);
		if (!err)
			err = put_calls(graph, node, false, out);
		fputc('}', out);
	}
	fputs("]}\n", out);
	if (!err && !any)
		err = cprof_error_new(CPROF_ERR_BAD_DATA, "no matches found for regexp: %s",
				      report->symbol_text);
	return err;
}

const struct cprof_format cprof_web_peek = {
	.name = "peek",
	.arg = "RE",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_ANY_STRING,
	.write = write_peek,
};

static void put_edges(const struct cprof_graph *graph, const uint32_t *place, FILE *out)
{
	bool first = true;
	for (uint32_t i = 0; i < graph->n_edges; i++) {
		const struct cprof_edge *edge = &graph->edges[i];
		if (edge->removed || !place[edge->src] || !place[edge->dest])
			continue;
		fprintf(out,
			"%s{\"from\":%u,\"to\":%u,\"value\":%" PRId64
			",\"inlined\":%d,\"indirect\":%d}",
			first ? "\n" : ",\n", place[edge->src] - 1, place[edge->dest] - 1,
			cprof_graph_edge_weight(graph, i), edge->is_inline, edge->residual);
		first = false;
	}
}

static struct cprof_error *write_graph(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, CPROF_GRAPH_EDGES, &graph);
	if (err)
		return err;
	CPROF_AUTO(free) uint32_t *place = calloc((size_t)graph->n_nodes + 1, sizeof(*place));
	if (!place)
		return cprof_error_no_memory();
	cprof_web_json_head(report, graph, out);
	fputs(",\"nodes\":[", out);
	for (uint32_t i = 0; i < graph->n_order; i++) {
		place[graph->order[i]] = i + 1;
		fputs(i ? ",\n{" : "\n{", out);
		cprof_node_json_put(graph, graph->order[i], out);
		fputc('}', out);
	}
	fputs("],\n\"calls\":[", out);
	put_edges(graph, place, out);
	fputs("]}\n", out);
	return NULL;
}

const struct cprof_format cprof_web_graph = {
	.name = "graph",
	.help = "",
	.suffix = "json",
	.flags = CPROF_FORMAT_GRAPH | CPROF_FORMAT_ANY_STRING,
	.write = write_graph,
};
