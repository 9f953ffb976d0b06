/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_trim.c - from the whole graph to the part that a report shows.
 *
 * A graph is trimmed by building it again with fewer nodes, because only the samples know what the edges
 * over the missing nodes weigh; a tree is trimmed in place.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/graph_impl.h"

#define MAX_TAGS_SHOWN 4 /* a node is drawn with at most so many */

struct trim {
	struct cprof_graph *graph;
	const struct cprof_report *report;
	int64_t node_cutoff, edge_cutoff;
	bool visual, tree;
	unsigned parts;
	bool *kept; /* by info: the nodes that the graph was built with; NULL: all. Owned */
};

static void trim_tags(struct trim *t)
{
	struct cprof_graph *g = t->graph;
	for (uint32_t i = 0; i < g->n_tags; i++) {
		struct cprof_tag *tag = &g->tags[i];
		if (cprof_measure_abs(tag->flat) < t->node_cutoff &&
		    cprof_measure_abs(tag->cum) < t->node_cutoff)
			tag->removed = true;
	}
}

/* Of the nodes that are shown, the edges that weigh too little. */
static struct cprof_error *trim_edges(struct trim *t, uint32_t *ret_dropped)
{
	struct cprof_graph *g = t->graph;
	CPROF_AUTO(free) bool *shown = calloc((size_t)g->n_nodes + 1, sizeof(*shown));
	if (!shown)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < g->n_order; i++)
		shown[g->order[i]] = true;
	uint32_t dropped = 0;
	for (uint32_t i = 0; i < g->n_edges; i++) {
		struct cprof_edge *edge = &g->edges[i];
		if (edge->removed || !shown[edge->dest] ||
		    cprof_measure_abs(edge->weight) >= t->edge_cutoff)
			continue;
		edge->removed = true;
		dropped++;
	}
	*ret_dropped = dropped;
	return NULL;
}

/* Whether edge `e`'s source reaches its target on another way; a walk backwards from the target. */
static bool is_redundant(const struct cprof_graph *g, uint32_t e, bool *seen, uint32_t *queue)
{
	uint32_t src = g->edges[e].src, n = 0;
	memset(seen, 0, g->n_nodes * sizeof(*seen));
	queue[n++] = g->edges[e].dest;
	seen[g->edges[e].dest] = true;
	for (uint32_t at = 0; at < n; at++) {
		for (uint32_t i = g->nodes[queue[at]].first_in; i != CPROF_GRAPH_NONE;
		     i = g->edges[i].next_in) {
			uint32_t from = g->edges[i].src;
			if (i == e || g->edges[i].removed || seen[from])
				continue;
			if (from == src)
				return true;
			seen[from] = true;
			queue[n++] = from;
		}
	}
	return false;
}

/* From the lightest: residual edges that only repeat what other edges show. */
static struct cprof_error *remove_redundant(struct cprof_graph *g)
{
	CPROF_AUTO(free) bool *seen = calloc((size_t)g->n_nodes + 1, sizeof(*seen));
	CPROF_AUTO(free) uint32_t *queue = calloc((size_t)g->n_nodes + 1, sizeof(*queue));
	if (!seen || !queue)
		return cprof_error_no_memory();
	for (uint32_t i = g->n_order; i-- > 0;) {
		CPROF_AUTO(free) uint32_t *in = NULL;
		uint32_t n = 0;
		struct cprof_error *err = cprof_graph_edges(g, g->order[i], true, &in, &n);
		if (err)
			return err;
		/* An edge heavier than one that is real stays, or the picture would confuse. */
		for (uint32_t j = n; j-- > 0 && g->edges[in[j]].residual;) {
			if (is_redundant(g, in[j], seen, queue))
				g->edges[in[j]].removed = true;
		}
	}
	return NULL;
}

static uint32_t first_live(const struct cprof_graph *g, uint32_t e)
{
	while (e != CPROF_GRAPH_NONE && g->edges[e].removed)
		e = g->edges[e].next_in;
	return e;
}

/* Take a node out of its tree: its children become its parent's, or roots. */
static void cut_tree_node(struct cprof_graph *g, uint32_t node)
{
	uint32_t in = first_live(g, g->nodes[node].first_in);
	uint32_t parent = in == CPROF_GRAPH_NONE ? in : g->edges[in].src;
	if (in != CPROF_GRAPH_NONE)
		g->edges[in].removed = true;
	for (uint32_t e = g->nodes[node].first_out, next; e != CPROF_GRAPH_NONE; e = next) {
		struct cprof_edge *edge = &g->edges[e];
		next = edge->next_out;
		if (edge->removed)
			continue;
		if (parent == CPROF_GRAPH_NONE) {
			edge->removed = true;
			continue;
		}
		edge->src = parent;
		edge->residual = true;
		edge->is_inline = edge->is_inline && g->edges[in].is_inline;
		edge->next_out = g->nodes[parent].first_out;
		g->nodes[parent].first_out = e;
	}
	g->nodes[node].first_out = CPROF_GRAPH_NONE;
}

static struct cprof_error *trim_tree(struct cprof_graph *g, const bool *kept)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < g->n_order; i++) {
		uint32_t node = g->order[i];
		if (kept[node])
			g->order[n++] = node;
		else
			cut_tree_node(g, node);
	}
	g->n_order = n;
	return remove_redundant(g);
}

/* Keep the nodes of those in `chosen`; which way, depends on the graph's kind. */
static struct cprof_error *keep_nodes(struct trim *t, const bool *chosen, unsigned parts)
{
	if (t->tree)
		return trim_tree(t->graph, chosen);
	bool *infos = calloc((size_t)t->graph->infos.n + 1, sizeof(*infos));
	if (!infos)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < t->graph->n_nodes; i++)
		infos[t->graph->nodes[i].info] |= chosen[i];
	free(t->kept);
	t->kept = infos;
	return cprof_graph_build(t->graph, infos, parts);
}

/* What is needed to choose the top nodes: only drawings look at edges and tags for it. */
static unsigned early_parts(const struct trim *t)
{
	return t->visual || t->report->config.nodecount <= 0 ? t->parts : 0;
}

static struct cprof_error *drop_light(struct trim *t)
{
	struct cprof_graph *g = t->graph;
	CPROF_AUTO(free) bool *kept = calloc((size_t)g->n_nodes + 1, sizeof(*kept));
	if (!kept)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < g->n_order; i++) {
		kept[g->order[i]] = cprof_measure_abs(g->nodes[g->order[i]].cum) >= t->node_cutoff;
		g->dropped_nodes += !kept[g->order[i]];
	}
	return g->dropped_nodes ? keep_nodes(t, kept, early_parts(t)) : NULL;
}

static uint32_t count_tags(const struct cprof_graph *g, uint32_t node)
{
	uint32_t n = 0;
	for (uint32_t i = g->nodes[node].first_tag; i != CPROF_GRAPH_NONE; i = g->tags[i].next)
		n += !g->tags[i].removed && g->tags[i].flat != 0;
	return n < MAX_TAGS_SHOWN ? n : MAX_TAGS_SHOWN;
}

/* How many of the first nodes fit into `limit`; in drawings tags take up room too. */
static uint32_t fitting(const struct trim *t, uint64_t limit)
{
	const struct cprof_graph *g = t->graph;
	uint64_t used = 0;
	for (uint32_t i = 0; t->visual && i < g->n_order; i++) {
		used += count_tags(g, g->order[i]) + 1;
		if (used >= limit) {
			limit = (uint64_t)i + 1;
			break;
		}
	}
	return limit < g->n_order ? (uint32_t)limit : g->n_order;
}

static struct cprof_error *sort(struct trim *t)
{
	struct cprof_error *err = t->visual ? cprof_graph_score(t->graph) : NULL;
	if (!err)
		cprof_graph_sort(t->graph, t->graph->order, t->graph->n_order,
				 t->visual               ? CPROF_ORDER_ENTROPY
				 : t->report->config.cum ? CPROF_ORDER_CUM
							 : CPROF_ORDER_FLAT);
	return err;
}

static struct cprof_error *keep_first(struct trim *t, uint32_t n)
{
	CPROF_AUTO(free) bool *chosen = calloc((size_t)t->graph->n_nodes + 1, sizeof(*chosen));
	if (!chosen)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < n; i++)
		chosen[t->graph->order[i]] = true;
	return keep_nodes(t, chosen, t->parts);
}

static struct cprof_error *keep_top(struct trim *t)
{
	if (t->report->config.nodecount <= 0)
		return NULL;
	uint32_t dropped;
	trim_tags(t);
	struct cprof_error *err = trim_edges(t, &dropped);
	uint32_t n = fitting(t, (uint64_t)t->report->config.nodecount);
	if (err)
		return err;
	if (n < t->graph->n_order)
		err = keep_first(t, n);
	else if (!t->tree && early_parts(t) != t->parts)
		err = cprof_graph_build(t->graph, t->kept, t->parts);
	else
		return NULL;
	return err ? err : sort(t);
}

/* One unit for the whole report: fine enough for the smallest value, coarse enough for the total. */
static void choose_unit(struct trim *t, struct cprof_report *report)
{
	const struct cprof_graph *g = t->graph;
	if (strcmp(report->output_unit, "minimum") != 0 || g->n_order == 0)
		return;
	int64_t least = 0, most = report->total;
	for (uint32_t i = 0; i < g->n_order; i++) {
		const struct cprof_node *node = &g->nodes[g->order[i]];
		int64_t own = cprof_measure_abs(cprof_node_flat(node));
		if (!own)
			own = cprof_measure_abs(cprof_node_cum(node));
		if (own > 0 && (!least || own < least))
			least = own;
	}
	if (!least)
		least = most;
	if (report->ratio > 0 && report->ratio != 1) {
		least = cprof_measure_truncate((double)least * report->ratio);
		most = cprof_measure_truncate((double)most * report->ratio);
	}
	const char *low = cprof_measure_scale(least, report->sample_unit, "minimum").unit;
	const char *high = cprof_measure_scale(most, report->sample_unit, "minimum").unit;
	const char *unit = low;
	int64_t hundred = (int64_t)((uint64_t)least * 100);
	bool integers = report->format->flags & CPROF_FORMAT_INTEGERS;
	if (strcmp(low, high) != 0 && hundred < most && !integers)
		unit = cprof_measure_scale(hundred, report->sample_unit, "minimum").unit;
	report->output_unit = *unit ? unit : report->sample_unit;
}

static int64_t cutoff(int64_t total, double fraction)
{
	return cprof_measure_abs(cprof_measure_truncate((double)total * fraction));
}

static struct cprof_error *trim(struct trim *t)
{
	struct cprof_graph *g = t->graph;
	int64_t total, cum;
	cprof_graph_sum(g, g->order, g->n_order, &total, &cum);
	t->node_cutoff = cutoff(total, t->report->config.nodefraction);
	t->edge_cutoff = cutoff(total, t->report->config.edgefraction);
	struct cprof_error *err = t->node_cutoff > 0 ? drop_light(t) : NULL;
	/* The first pass only weighed nodes; where nothing was dropped the edges are still missing. */
	if (!err && g->dropped_nodes == 0 && early_parts(t) && !t->tree)
		err = cprof_graph_build(g, NULL, t->parts);
	if (err)
		return err;
	g->original_nodes = g->n_order;
	err = sort(t);
	if (!err)
		err = keep_top(t);
	if (err)
		return err;
	trim_tags(t);
	err = trim_edges(t, &g->dropped_edges);
	return !err && t->visual ? remove_redundant(g) : err;
}

struct cprof_error *cprof_graph_trimmed(struct cprof_report *report, unsigned parts,
					struct cprof_graph **ret_graph)
{
	unsigned flags = report->format->flags;
	struct trim t = {
		.report = report,
		.visual = flags & CPROF_FORMAT_GRAPH,
		.tree = report->config.call_tree &&
			(flags & (CPROF_FORMAT_GRAPH | CPROF_FORMAT_TREE)),
		.parts = parts,
	};
	struct cprof_error *err = cprof_graph_new(report, t.tree ? parts : 0, &t.graph);
	if (err)
		return err;
	err = trim(&t);
	free(t.kept);
	if (err) {
		cprof_graph_free(t.graph);
		return err;
	}
	choose_unit(&t, report);
	*ret_graph = t.graph;
	return NULL;
}
