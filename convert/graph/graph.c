/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/graph.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/graph_impl.h"

/* One pass over the samples. */
struct builder {
	struct cprof_graph *graph;
	const struct cprof_profile *profile;
	unsigned parts;
	bool tree;
	uint32_t *node_of;           /* info -> node; NONE: not kept */
	struct cprof_map64 tree_map; /* (parent + 1) << 32 | info -> node + 1 */
	uint32_t *path;              /* nodes of one sample, each once, for tags */
	uint32_t path_n, path_room;
};

static struct cprof_error *add_node(struct builder *b, uint32_t info, uint32_t *ret)
{
	struct cprof_graph *g = b->graph;
	struct cprof_error *err =
		cprof_profile_grow(&g->nodes, g->n_nodes, &g->nodes_room, 1, sizeof(*g->nodes));
	if (err)
		return err;
	g->nodes[g->n_nodes] = (struct cprof_node){ .info = info,
						    .first_in = CPROF_GRAPH_NONE,
						    .first_out = CPROF_GRAPH_NONE,
						    .first_tag = CPROF_GRAPH_NONE };
	*ret = g->n_nodes++;
	return NULL;
}

static struct cprof_error *tree_node(struct builder *b, uint32_t parent, uint32_t info,
				     uint32_t *ret)
{
	uint64_t *place = cprof_map64_put(&b->tree_map, (uint64_t)(parent + 1) << 32 | info, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!*place) {
		uint32_t node;
		struct cprof_error *err = add_node(b, info, &node);
		if (err)
			return err;
		/* Nodes of one function under one parent belong together; see the callgrind report. */
		b->graph->nodes[node].parent = parent;
		*place = (uint64_t)node + 1;
	}
	*ret = (uint32_t)(*place - 1);
	return NULL;
}

struct weight {
	int64_t value, divisor;
	uint32_t stamp; /* of the sample */
};

/* A node of a tree has one edge into it. */
static struct cprof_error *add_tree_edge(struct builder *b, uint32_t src, uint32_t dest,
					 struct weight w, bool is_inline)
{
	struct cprof_graph *g = b->graph;
	struct cprof_error *err = NULL;
	if (g->nodes[dest].first_in == CPROF_GRAPH_NONE)
		err = cprof_graph_add_edge(g, src, dest);
	if (err)
		return err;
	uint32_t index = g->nodes[dest].first_in;
	cprof_graph_weigh_edge(g, index, w.value, w.divisor);
	g->edges[index].is_inline = g->edges[index].is_inline && is_inline;
	return NULL;
}

static void add_cum(struct builder *b, uint32_t index, struct weight w)
{
	struct cprof_node *node = &b->graph->nodes[index];
	node->cum = cprof_measure_add(node->cum, w.value);
	node->cum_div = cprof_measure_add(node->cum_div, w.divisor);
	if (b->parts & CPROF_GRAPH_TAGS)
		b->path[b->path_n++] = index;
}

/* Where the walk from root to leaf stands. */
struct walk {
	uint32_t parent;
	bool residual; /* nodes have been skipped since the parent */
};

static struct cprof_error *visit(struct builder *b, uint32_t slot, bool is_inline, struct weight w,
				 struct walk *at)
{
	uint32_t info = b->graph->infos.slots[slot], node = CPROF_GRAPH_NONE;
	struct cprof_error *err = NULL;
	if (b->tree)
		err = tree_node(b, at->parent, info, &node);
	else
		node = b->node_of[info];
	if (err)
		return err;
	if (node >= b->graph->n_nodes) { /* CPROF_GRAPH_NONE: not kept */
		at->residual = true;
		return NULL;
	}
	if (b->graph->nodes[node].seen != w.stamp) { /* recursion counts once */
		b->graph->nodes[node].seen = w.stamp;
		add_cum(b, node, w);
	}
	if (b->tree && (b->parts & CPROF_GRAPH_EDGES) && at->parent != CPROF_GRAPH_NONE)
		err = add_tree_edge(b, at->parent, node, w, is_inline);
	at->parent = node;
	at->residual = false;
	return err;
}

static struct cprof_error *add_sample(struct builder *b, uint32_t index)
{
	const struct cprof_sample *sample = &b->profile->samples[index];
	struct weight w = { cprof_report_value(b->graph->report, index),
			    cprof_report_divisor(b->graph->report, index), index + 1 };
	if (!w.value && !w.divisor)
		return NULL;
	struct walk at = { .parent = CPROF_GRAPH_NONE };
	const uint32_t *slot_of = b->graph->infos.slot_of;
	b->path_n = 0;
	if (b->parts & CPROF_GRAPH_TAGS) {
		size_t most = 0;
		for (uint32_t i = 0; i < sample->n_locations; i++) {
			uint32_t location = b->profile->stacks[sample->first_location + i];
			most += slot_of[location + 1] - slot_of[location];
		}
		struct cprof_error *err =
			cprof_profile_grow(&b->path, 0, &b->path_room, most, sizeof(*b->path));
		if (err)
			return err;
	}
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		uint32_t location = b->profile->stacks[sample->first_location + i];
		uint32_t last = slot_of[location + 1] - 1;
		for (uint32_t slot = last + 1; slot-- > slot_of[location];) {
			struct cprof_error *err = visit(b, slot, slot != last, w, &at);
			if (err)
				return err;
		}
	}
	bool has_leaf = at.parent != CPROF_GRAPH_NONE && !at.residual;
	if (has_leaf) {
		struct cprof_node *leaf = &b->graph->nodes[at.parent];
		leaf->flat = cprof_measure_add(leaf->flat, w.value);
		leaf->flat_div = cprof_measure_add(leaf->flat_div, w.divisor);
	}
	if (b->parts & CPROF_GRAPH_TAGS)
		return cprof_graph_add_tags(b->graph, b->path, b->path_n, index,
					    has_leaf ? at.parent : CPROF_GRAPH_NONE);
	return NULL;
}

static bool is_negative(const struct cprof_node *node)
{
	return node->flat < 0 || (node->flat == 0 && node->cum < 0);
}

/* The nodes that carry anything, in order of first appearance. */
static struct cprof_error *select_nodes(struct cprof_graph *g)
{
	g->order = calloc((size_t)g->n_nodes + 1, sizeof(*g->order));
	if (!g->order)
		return cprof_error_no_memory();
	g->n_order = 0;
	for (uint32_t i = 0; i < g->n_nodes; i++) {
		const struct cprof_node *node = &g->nodes[i];
		if (!node->cum && !node->flat)
			continue;
		if (g->report->config.drop_negative && is_negative(node))
			continue;
		g->order[g->n_order++] = i;
	}
	return NULL;
}

static void clear(struct cprof_graph *g)
{
	free(g->nodes);
	free(g->edges);
	free(g->edge_divs);
	free(g->tags);
	free(g->order);
	cprof_map64_deinit(&g->tag_map);
	g->nodes = NULL;
	g->edges = NULL;
	g->edge_divs = NULL;
	g->tags = NULL;
	g->order = NULL;
	g->n_nodes = g->n_edges = g->n_tags = g->n_order = 0;
	g->nodes_room = g->edges_room = g->divs_room = g->tags_room = 0;
}

static struct cprof_error *map_nodes(struct builder *b, const bool *kept)
{
	uint32_t n = b->graph->infos.n;
	b->node_of = calloc((size_t)n + 1, sizeof(*b->node_of));
	if (!b->node_of)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < n; i++) {
		b->node_of[i] = CPROF_GRAPH_NONE;
		struct cprof_error *err = NULL;
		if (!b->tree && (!kept || kept[i]))
			err = add_node(b, i, &b->node_of[i]);
		if (err)
			return err;
	}
	return NULL;
}

struct cprof_error *cprof_graph_build(struct cprof_graph *graph, const bool *kept, unsigned parts)
{
	clear(graph);
	unsigned trees = CPROF_FORMAT_GRAPH | CPROF_FORMAT_TREE;
	struct builder b = { .graph = graph,
			     .profile = graph->report->profile,
			     .parts = parts,
			     .tree = graph->report->config.call_tree &&
				     (graph->report->format->flags & trees) };
	struct cprof_error *err = map_nodes(&b, kept);
	for (uint32_t i = 0; !err && i < b.profile->n_samples; i++)
		err = add_sample(&b, i);
	if (!err && !b.tree && (parts & CPROF_GRAPH_EDGES))
		err = cprof_graph_find_edges(graph, b.node_of);
	if (!err)
		err = select_nodes(graph);
	free(b.node_of);
	free(b.path);
	cprof_map64_deinit(&b.tree_map);
	return err;
}

struct cprof_error *cprof_graph_new(struct cprof_report *report, unsigned parts,
				    struct cprof_graph **ret_graph)
{
	struct cprof_graph *graph = calloc(1, sizeof(*graph));
	if (!graph)
		return cprof_error_no_memory();
	graph->report = report;
	struct cprof_error *err = cprof_node_infos_init(&graph->infos, report);
	if (!err)
		err = cprof_graph_build(graph, NULL, parts);
	if (err) {
		cprof_graph_free(graph);
		return err;
	}
	*ret_graph = graph;
	return NULL;
}

void cprof_graph_free(struct cprof_graph *graph)
{
	if (!graph)
		return;
	clear(graph);
	cprof_node_infos_deinit(&graph->infos);
	free(graph);
}
