/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_tree.c - tree and peek: each node with its callers above and its callees below.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/graph/graph.h"
#include "convert/graph/graph_labels.h"

static const char separator[] =
	"----------------------------------------------------------+-------------\n";
static const char legend[] =
	"      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t \n";

static struct cprof_error *put_edges(struct cprof_report *report, struct cprof_graph *graph,
				     uint32_t node, bool incoming, FILE *out)
{
	CPROF_AUTO(free) uint32_t *edges = NULL;
	uint32_t n;
	struct cprof_error *err = cprof_graph_edges(graph, node, incoming, &edges, &n);
	if (err)
		return err;
	char value[CPROF_MEASURE_LABEL_MAX], part[32];
	int64_t cum = cprof_node_cum(&graph->nodes[node]);
	for (uint32_t i = 0; i < n; i++) {
		const struct cprof_edge *edge = &graph->edges[edges[i]];
		fprintf(out, "%50s %s |   %s%s\n",
			cprof_report_format_wide(report, edge->weight, 50, value),
			cprof_measure_percentage(part, edge->weight, cum),
			cprof_graph_name(graph, incoming ? edge->src : edge->dest),
			edge->is_inline ? " (inline)" : "");
	}
	return NULL;
}

static struct cprof_error *put_node(struct cprof_report *report, struct cprof_graph *graph,
				    uint32_t index, int64_t *sum, FILE *out)
{
	const struct cprof_node *node = &graph->nodes[index];
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX];
	char flat_part[32], sum_part[32], cum_part[32];
	int64_t flat = cprof_node_flat(node), cum = cprof_node_cum(node);
	fputs(separator, out);
	struct cprof_error *err = put_edges(report, graph, index, true, out);
	if (err)
		return err;
	*sum = cprof_measure_add(*sum, flat);
	fprintf(out, "%10s %s %s %10s %s                | %s\n",
		cprof_report_format_wide(report, flat, 10, flat_text),
		cprof_measure_percentage(flat_part, flat, report->total),
		cprof_measure_percentage(sum_part, *sum, report->total),
		cprof_report_format_wide(report, cum, 10, cum_text),
		cprof_measure_percentage(cum_part, cum, report->total),
		cprof_graph_name(graph, index));
	return put_edges(report, graph, index, false, out);
}

static bool any_matches(const struct cprof_report *report, struct cprof_graph *graph)
{
	for (uint32_t i = 0; i < graph->n_order; i++) {
		if (cprof_regex_match(report->symbol, cprof_graph_name(graph, graph->order[i])))
			return true;
	}
	return false;
}

static struct cprof_error *write_tree(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *graph = NULL;
	struct cprof_error *err = cprof_graph_trimmed(report, CPROF_GRAPH_EDGES, &graph);
	if (err)
		return err;
	if (report->symbol && !any_matches(report, graph))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "no matches found for regexp: %s",
				       report->symbol_text);
	CPROF_AUTO(buffer) struct cprof_buffer labels = { 0 };
	cprof_graph_labels(graph, false, &labels);
	err = cprof_buffer_error(&labels);
	if (err)
		return err;
	fprintf(out, "%s%s%s", cprof_buffer_text(&labels), separator, legend);
	int64_t sum = 0;
	for (uint32_t i = 0; !err && i < graph->n_order; i++) {
		if (report->symbol &&
		    !cprof_regex_match(report->symbol, cprof_graph_name(graph, graph->order[i])))
			continue;
		err = put_node(report, graph, graph->order[i], &sum, out);
	}
	if (!err && graph->n_order)
		fputs(separator, out);
	return err;
}

const struct cprof_format cprof_format_tree = {
	.name = "tree",
	.help = "callers and callees of each function, as text",
	.suffix = "txt",
	.write = write_tree,
};

const struct cprof_format cprof_format_peek = {
	.name = "peek",
	.arg = "RE",
	.help = "callers and callees of functions that match",
	.suffix = "txt",
	.flags = CPROF_FORMAT_NO_TRIM,
	.write = write_tree,
};
