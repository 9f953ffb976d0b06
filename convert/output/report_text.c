/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_text.c - top, text: one line a node, heaviest first.
 */
#include <string.h>

#include "convert/graph/graph.h"
#include "convert/graph/graph_labels.h"
#include "convert/report/report.h"

/* " (inline)" where every call is an inlined one, " (partial-inline)" where some are. */
static const char *inline_mark(const struct cprof_graph *graph, const struct cprof_node *node)
{
	bool inlined = false, called = false;
	for (uint32_t e = node->first_in; e != CPROF_GRAPH_NONE; e = graph->edges[e].next_in) {
		if (graph->edges[e].removed)
			continue;
		inlined = inlined || graph->edges[e].is_inline;
		called = called || !graph->edges[e].is_inline;
	}
	return !inlined ? "" : called ? " (partial-inline)" : " (inline)";
}

/* Edges are only looked at for inlining, which many profiles have none of. */
static bool has_inlines(const struct cprof_profile *p)
{
	for (uint32_t i = 0; i < p->n_locations; i++) {
		if (p->locations[i].n_lines > 1)
			return true;
	}
	return false;
}

static void put_rows(struct cprof_report *report, struct cprof_graph *graph, FILE *out)
{
	char flat_text[CPROF_MEASURE_LABEL_MAX], cum_text[CPROF_MEASURE_LABEL_MAX];
	char flat_part[32], sum_part[32], cum_part[32];
	int64_t sum = 0;
	for (uint32_t i = 0; i < graph->n_order; i++) {
		const struct cprof_node *node = &graph->nodes[graph->order[i]];
		int64_t flat = cprof_node_flat(node), cum = cprof_node_cum(node);
		sum = cprof_measure_add(sum, flat);
		fprintf(out, "%10s %s %s %10s %s  %s%s\n",
			cprof_report_format_wide(report, flat, 10, flat_text),
			cprof_measure_percentage(flat_part, flat, report->total),
			cprof_measure_percentage(sum_part, sum, report->total),
			cprof_report_format_wide(report, cum, 10, cum_text),
			cprof_measure_percentage(cum_part, cum, report->total),
			cprof_graph_name(graph, graph->order[i]), inline_mark(graph, node));
	}
}

static struct cprof_error *write_text(struct cprof_report *report, FILE *out)
{
	struct cprof_graph *graph;
	unsigned parts = has_inlines(report->profile) ? CPROF_GRAPH_EDGES : 0;
	struct cprof_error *err = cprof_graph_trimmed(report, parts, &graph);
	if (err)
		return err;
	struct cprof_buffer labels = { 0 };
	cprof_graph_labels(graph, false, &labels);
	err = cprof_buffer_error(&labels);
	if (!err) {
		fputs(cprof_buffer_text(&labels), out);
		fprintf(out, "%10s %5s%% %5s%% %10s %5s%%\n", "flat", "flat", "sum", "cum", "cum");
		put_rows(report, graph, out);
	}
	cprof_buffer_deinit(&labels);
	cprof_graph_free(graph);
	return err;
}

const struct cprof_format cprof_format_top = {
	.name = "top",
	.help = "the heaviest functions, one a line",
	.suffix = "txt",
	.flags = CPROF_FORMAT_ALL_NODES,
	.write = write_text,
};

const struct cprof_format cprof_format_text = {
	.name = "text",
	.help = "the same as top",
	.suffix = "txt",
	.flags = CPROF_FORMAT_ALL_NODES,
	.write = write_text,
};
