/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_sort.c - the orders of nodes and edges. All are total, so that equal input prints equally.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "convert/graph/graph.h"

static int by_size(int64_t a, int64_t b) /* larger magnitude first */
{
	uint64_t x = (uint64_t)cprof_measure_abs(a), y = (uint64_t)cprof_measure_abs(b);
	return (x < y) - (x > y);
}

static int by_name(struct cprof_graph *g, uint32_t a, uint32_t b)
{
	if (g->nodes[a].info == g->nodes[b].info)
		return 0;
	return strcmp(cprof_graph_name(g, a), cprof_graph_name(g, b));
}

/* The last word between nodes that look alike: all their facts as one text. */
static int by_everything(struct cprof_graph *g, uint32_t a, uint32_t b)
{
	const struct cprof_profile *p = g->report->profile;
	struct cprof_buffer text[2] = { { 0 }, { 0 } };
	uint32_t nodes[] = { a, b };
	for (size_t i = 0; i < 2; i++) {
		const struct cprof_node_info *info = cprof_graph_info(g, &g->nodes[nodes[i]]);
		cprof_buffer_printf(&text[i],
				    "%s  %" PRIu64 " %s %" PRId64 " %" PRId64 " %" PRId64 " %s",
				    cprof_profile_text(p, info->name), info->address,
				    cprof_profile_text(p, info->file), info->start_line, info->line,
				    info->column, cprof_profile_text(p, info->objfile));
	}
	int order = strcmp(cprof_buffer_text(&text[0]), cprof_buffer_text(&text[1]));
	cprof_buffer_deinit(&text[0]);
	cprof_buffer_deinit(&text[1]);
	return order ? order : (a > b) - (a < b);
}

static int compare_flat(const void *a, const void *b, void *graph)
{
	struct cprof_graph *g = graph;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = by_size(g->nodes[x].flat, g->nodes[y].flat);
	if (!order)
		order = by_name(g, x, y);
	if (!order)
		order = by_size(g->nodes[x].cum, g->nodes[y].cum);
	return order ? order : by_everything(g, x, y);
}

static int compare_score(const void *a, const void *b, void *graph)
{
	struct cprof_graph *g = graph;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int order = by_size(g->nodes[x].score, g->nodes[y].score);
	if (!order)
		order = by_name(g, x, y);
	if (!order)
		order = by_size(g->nodes[x].flat, g->nodes[y].flat);
	return order ? order : by_everything(g, x, y);
}

static int compare_function(const void *a, const void *b, void *graph)
{
	struct cprof_graph *g = graph;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const struct cprof_profile *p = g->report->profile;
	int order = strcmp(cprof_profile_text(p, cprof_graph_info(g, &g->nodes[x])->name),
			   cprof_profile_text(p, cprof_graph_info(g, &g->nodes[y])->name));
	return order ? order : by_everything(g, x, y);
}

static int compare_file(const void *a, const void *b, void *graph)
{
	struct cprof_graph *g = graph;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	const struct cprof_node_info *m = cprof_graph_info(g, &g->nodes[x]);
	const struct cprof_node_info *n = cprof_graph_info(g, &g->nodes[y]);
	const struct cprof_profile *p = g->report->profile;
	int order = strcmp(cprof_profile_text(p, m->file), cprof_profile_text(p, n->file));
	if (!order)
		order = (m->start_line > n->start_line) - (m->start_line < n->start_line);
	return order ? order : by_everything(g, x, y);
}

static int compare_address(const void *a, const void *b, void *graph)
{
	struct cprof_graph *g = graph;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	uint64_t m = cprof_graph_info(g, &g->nodes[x])->address;
	uint64_t n = cprof_graph_info(g, &g->nodes[y])->address;
	return m != n ? (m > n) - (m < n) : by_everything(g, x, y);
}

void cprof_graph_sort(struct cprof_graph *graph, uint32_t *nodes, uint32_t n,
		      enum cprof_graph_order order)
{
	static int (*const compare[])(const void *, const void *, void *) = {
		[CPROF_ORDER_FLAT] = compare_flat,     [CPROF_ORDER_CUM] = compare_score,
		[CPROF_ORDER_ENTROPY] = compare_score, [CPROF_ORDER_NAME] = compare_function,
		[CPROF_ORDER_FILE] = compare_file,     [CPROF_ORDER_ADDRESS] = compare_address,
	};
	for (uint32_t i = 0; i < n; i++) {
		struct cprof_node *node = &graph->nodes[nodes[i]];
		if (order != CPROF_ORDER_ENTROPY)
			node->score = node->cum;
	}
	if (n)
		qsort_r(nodes, n, sizeof(*nodes), compare[order], graph);
}

static int compare_edges(const void *a, const void *b, void *graph)
{
	struct cprof_graph *g = graph;
	uint32_t i = *(const uint32_t *)a, j = *(const uint32_t *)b;
	const struct cprof_edge *x = &g->edges[i], *y = &g->edges[j];
	int order = by_size(x->weight, y->weight);
	if (!order)
		order = by_name(g, x->src, y->src);
	if (!order)
		order = by_name(g, x->dest, y->dest);
	return order ? order : (i > j) - (i < j);
}

void cprof_graph_sort_edges(struct cprof_graph *graph, uint32_t *edges, uint32_t n)
{
	if (n)
		qsort_r(edges, n, sizeof(*edges), compare_edges, graph);
}

struct cprof_error *cprof_graph_edges(struct cprof_graph *graph, uint32_t node, bool incoming,
				      uint32_t **ret_edges, uint32_t *ret_n)
{
	uint32_t first = incoming ? graph->nodes[node].first_in : graph->nodes[node].first_out;
	uint32_t *edges = NULL, n = 0, room = 0;
	for (uint32_t i = first; i != CPROF_GRAPH_NONE;
	     i = incoming ? graph->edges[i].next_in : graph->edges[i].next_out) {
		if (graph->edges[i].removed)
			continue;
		struct cprof_error *err = cprof_profile_grow(&edges, n, &room, 1, sizeof(*edges));
		if (err) {
			free(edges);
			return err;
		}
		edges[n++] = i;
	}
	cprof_graph_sort_edges(graph, edges, n);
	*ret_edges = edges;
	*ret_n = n;
	return NULL;
}

void cprof_graph_sum(const struct cprof_graph *graph, const uint32_t *nodes, uint32_t n,
		     int64_t *ret_flat, int64_t *ret_cum)
{
	*ret_flat = *ret_cum = 0;
	for (uint32_t i = 0; i < n; i++) {
		*ret_flat = cprof_measure_add(*ret_flat, graph->nodes[nodes[i]].flat);
		*ret_cum = cprof_measure_add(*ret_cum, graph->nodes[nodes[i]].cum);
	}
}
