/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_score.c - how interesting nodes are in a drawing: by their weight, and by how it is spread over edges.
 */
#include <math.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/graph/graph_impl.h"

/* How evenly a node's weight is spread over its edges: many ways in or out are interesting. */
struct spread {
	bool any;
	int64_t total;
	double score;
};

static double part_entropy(int64_t weight, int64_t total)
{
	double part = (double)cprof_measure_abs(weight) / (double)total;
	return -part * log2(part);
}

static void sum_spread(struct spread *s, int64_t weight)
{
	s->any = true;
	if (weight > 0)
		s->total = cprof_measure_add(s->total, weight);
}

static void score_spread(struct spread *s, int64_t weight)
{
	if (s->total)
		s->score += part_entropy(weight, s->total);
}

/* The spread of each node's edges to its callers and to its callees, in the order of the edges, which lie far from their nodes. */
static void spread_all(const struct cprof_graph *g, struct spread *in, struct spread *out)
{
	for (uint32_t i = 0; i < g->n_nodes; i++)
		out[i].total = g->nodes[i].flat;
	for (uint32_t i = 0; i < g->n_edges; i++) {
		const struct cprof_edge *edge = &g->edges[i];
		if (edge->removed)
			continue;
		sum_spread(&in[edge->dest], edge->weight);
		sum_spread(&out[edge->src], edge->weight);
	}
	for (uint32_t i = 0; i < g->n_edges; i++) {
		const struct cprof_edge *edge = &g->edges[i];
		if (edge->removed)
			continue;
		score_spread(&in[edge->dest], edge->weight);
		score_spread(&out[edge->src], edge->weight);
	}
}

static int64_t entropy_score(const struct cprof_node *node, const struct spread *in,
			     const struct spread *out)
{
	double outgoing = out->score;
	if (out->total && node->flat > 0)
		outgoing += part_entropy(node->flat, out->total);
	double score = 0;
	score += in->any ? in->score : 1;
	score += out->any ? outgoing : 1;
	return cprof_measure_add(cprof_measure_truncate(score * (double)node->cum), node->flat);
}

struct cprof_error *cprof_graph_score(struct cprof_graph *graph)
{
	size_t n = (size_t)graph->n_nodes + 1;
	CPROF_AUTO(free) struct spread *in = calloc(n, sizeof(*in));
	CPROF_AUTO(free) struct spread *out = calloc(n, sizeof(*out));
	if (!in || !out)
		return cprof_error_no_memory();
	spread_all(graph, in, out);
	for (uint32_t i = 0; i < graph->n_nodes; i++)
		graph->nodes[i].score = entropy_score(&graph->nodes[i], &in[i], &out[i]);
	return NULL;
}
