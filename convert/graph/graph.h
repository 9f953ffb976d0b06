/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph.h - who calls whom and with what weight: the graph behind top, tree, dot and others.
 *
 * Built from a prepared report, of the nodes that node_info.h finds. The rules (what merges into one node, what counts once,
 * what is cut, every order) are google/pprof's, because reports are compared with its output byte by byte.
 */
#ifndef CPROF_CONVERT_GRAPH_GRAPH_H
#define CPROF_CONVERT_GRAPH_GRAPH_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "convert/graph/node_info.h"
#include "convert/report/report.h"
#include "cprof/error.h"

#define CPROF_GRAPH_NONE UINT32_MAX

struct cprof_node {
	uint32_t info; /* in infos.all[] */
	uint32_t
		parent; /* the node that calls it, CPROF_GRAPH_NONE for a root; only where the graph is a tree */
	int64_t flat, flat_div, cum, cum_div;
	int64_t score;                /* for sorting by entropy */
	uint32_t first_in, first_out; /* in edges[], linked by next_in and next_out */
	uint32_t first_tag;           /* in tags[], linked by next */
	uint32_t seen;                /* graph.c's own: the last sample (+ 1) that counted here */
};

/* There may be millions, so what only averages need is in edge_divs[]. */
struct cprof_edge {
	uint32_t src, dest; /* nodes */
	uint32_t next_in, next_out;
	int64_t weight;
	bool residual; /* goes over nodes that are not shown */
	bool is_inline;
	bool removed;
};
static_assert(sizeof(struct cprof_edge) == 32, "a report of 500,000 stacks has seven million");

/* A label on part of a node's samples (drawings only). */
struct cprof_tag {
	uint32_t group; /* string: the text labels that this number belongs to; 0: none */
	uint32_t name;  /* string */
	uint32_t unit;  /* string */
	bool is_num;
	bool removed;
	int64_t value;
	int64_t flat, flat_div, cum, cum_div;
	uint32_t node; /* whose it is */
	uint32_t next;
};

struct cprof_graph {
	const struct cprof_report *report; /* borrowed */
	struct cprof_node_infos infos;

	struct cprof_node *nodes; /* all; `order` has those that are shown, sorted */
	uint32_t n_nodes;
	uint32_t *order;
	uint32_t n_order;
	struct cprof_edge *edges;
	uint32_t n_edges;
	int64_t *
		edge_divs; /* by edge: the divisor of its weight; NULL where the report shows no means */
	struct cprof_tag *tags;
	uint32_t n_tags;

	/* What was left out on the way, for the header. */
	uint32_t original_nodes, dropped_nodes, dropped_edges;

	uint32_t nodes_room, edges_room, divs_room, tags_room;
	struct cprof_map64 tag_map; /* graph_tags.c's own: hash -> tag + 1 */
};

/* What to build; edges and tags cost time and are only made for those who look at them. */
enum { CPROF_GRAPH_EDGES = 1, CPROF_GRAPH_TAGS = 2 };

/* The whole graph, untrimmed, in order of first appearance. */
struct cprof_error *cprof_graph_new(struct cprof_report *report, unsigned parts,
				    struct cprof_graph **ret_graph);

/*
 * The graph as the report's options trim it (nodefraction, nodecount, edgefraction), sorted; and the report's
 * output unit chosen to fit it.
 */
struct cprof_error *cprof_graph_trimmed(struct cprof_report *report, unsigned parts,
					struct cprof_graph **ret_graph);
void cprof_graph_free(struct cprof_graph *graph);
static inline void cprof_auto_graph(struct cprof_graph **graph)
{
	cprof_graph_free(*graph);
}

static inline const struct cprof_node_info *cprof_graph_info(const struct cprof_graph *graph,
							     const struct cprof_node *node)
{
	return &graph->infos.all[node->info];
}

/* Values with the mean's divisor applied. */
static inline int64_t cprof_node_flat(const struct cprof_node *node)
{
	return cprof_measure_divide(node->flat, node->flat_div);
}
static inline int64_t cprof_node_cum(const struct cprof_node *node)
{
	return cprof_measure_divide(node->cum, node->cum_div);
}
static inline int64_t cprof_graph_edge_weight(const struct cprof_graph *graph, uint32_t edge)
{
	int64_t divisor = graph->edge_divs ? graph->edge_divs[edge] : 0;
	return cprof_measure_divide(graph->edges[edge].weight, divisor);
}

/* What the node is called, as cprof_node_infos_name(). Borrowed from the graph. */
static inline const char *cprof_graph_name(struct cprof_graph *graph, uint32_t node)
{
	return cprof_node_infos_name(&graph->infos, graph->nodes[node].info);
}

/* Live edges into or out of a node, heaviest first. `*ret_edges` is the caller's to free. */
struct cprof_error *cprof_graph_edges(struct cprof_graph *graph, uint32_t node, bool incoming,
				      uint32_t **ret_edges, uint32_t *ret_n);
void cprof_graph_sort_edges(struct cprof_graph *graph, uint32_t *edges, uint32_t n);

/* Orders for `order`. */
enum cprof_graph_order {
	CPROF_ORDER_FLAT,
	CPROF_ORDER_CUM,
	CPROF_ORDER_ENTROPY, /* by the score that the nodes have */
	CPROF_ORDER_NAME,
	CPROF_ORDER_FILE,
	CPROF_ORDER_ADDRESS,
};
void cprof_graph_sort(struct cprof_graph *graph, uint32_t *nodes, uint32_t n,
		      enum cprof_graph_order order);

/* Sum of the raw values of some nodes. */
void cprof_graph_sum(const struct cprof_graph *graph, const uint32_t *nodes, uint32_t n,
		     int64_t *ret_flat, int64_t *ret_cum);

#endif
