/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_impl.h - what graph.c, graph_edges.c, graph_tags.c and graph_trim.c need of each other.
 */
#ifndef CPROF_CONVERT_GRAPH_GRAPH_IMPL_H
#define CPROF_CONVERT_GRAPH_GRAPH_IMPL_H

#include "convert/graph/graph.h"

/* Build values and edges from the samples, again, with only the infos that `kept` has (NULL: all). */
struct cprof_error *cprof_graph_build(struct cprof_graph *graph, const bool *kept, unsigned parts);

/* One more edge, which weighs nothing yet and is inline until a call says otherwise. */
struct cprof_error *cprof_graph_add_edge(struct cprof_graph *graph, uint32_t src, uint32_t dest);

/* One call of edge `index`, of a sample's value and divisor. */
void cprof_graph_weigh_edge(struct cprof_graph *graph, uint32_t index, int64_t value,
			    int64_t divisor);

/* All edges of a graph that is no tree, between nodes that are there: node_of[info], CPROF_GRAPH_NONE for none. */
struct cprof_error *cprof_graph_find_edges(struct cprof_graph *graph, const uint32_t *node_of);

/* Give all nodes their score, for CPROF_ORDER_ENTROPY. */
struct cprof_error *cprof_graph_score(struct cprof_graph *graph);

struct cprof_error *cprof_graph_add_tags(struct cprof_graph *graph, const uint32_t *path,
					 uint32_t n, uint32_t sample, uint32_t leaf);

#endif
