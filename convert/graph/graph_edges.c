/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_edges.c - the edges of a graph that is no tree: which node calls which, with what weight.
 *
 * A profile may have millions of different calls. So the calls of all stacks are first counted by caller, then laid out caller
 * by caller, for as many callers at once as fit into a fixed room, and then added up with a table of one word a node: no hash
 * table of all edges. Edges of one caller stand together.
 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/graph/graph_impl.h"

#define CALLS_AT_ONCE (4u << 20) /* 32 MiB */
#define MOST          (1u << 31) /* nodes, and samples */

/* One call of one stack, its caller known from where it stands. */
struct call {
	uint32_t dest : 31, residual : 1;
	uint32_t sample : 31, is_inline : 1;
};
static_assert(sizeof(struct call) == 8, "CALLS_AT_ONCE says what they take up");

struct finder {
	struct cprof_graph *graph;
	const uint32_t *node_of; /* by info */
	uint64_t *n_calls;       /* by caller */
	uint64_t *end;           /* by caller, of those at hand: where its next call goes */
	uint32_t first, last;    /* the callers at hand: [first, last) */
	struct call *calls;
	uint32_t *edge_of; /* by callee: its edge from the caller that was last looked at */
};

struct cprof_error *cprof_graph_add_edge(struct cprof_graph *g, uint32_t src, uint32_t dest)
{
	struct cprof_error *err =
		cprof_profile_grow(&g->edges, g->n_edges, &g->edges_room, 1, sizeof(*g->edges));
	if (!err && g->report->config.mean)
		err = cprof_profile_grow(&g->edge_divs, g->n_edges, &g->divs_room, 1,
					 sizeof(*g->edge_divs));
	if (err)
		return err;
	g->edges[g->n_edges] = (struct cprof_edge){ .src = src,
						    .dest = dest,
						    .next_in = g->nodes[dest].first_in,
						    .next_out = g->nodes[src].first_out,
						    .is_inline = true };
	if (g->edge_divs)
		g->edge_divs[g->n_edges] = 0;
	g->nodes[dest].first_in = g->nodes[src].first_out = g->n_edges++;
	return NULL;
}

void cprof_graph_weigh_edge(struct cprof_graph *graph, uint32_t index, int64_t value,
			    int64_t divisor)
{
	struct cprof_edge *edge = &graph->edges[index];
	edge->weight = cprof_measure_add(edge->weight, value);
	if (graph->edge_divs)
		graph->edge_divs[index] = cprof_measure_add(graph->edge_divs[index], divisor);
}

/* Counts a call, or, where room for calls is there, writes it down if it is one of the callers at hand. */
static inline void take(struct finder *f, uint32_t src, struct call call)
{
	if (!f->calls)
		f->n_calls[src]++;
	else if (src >= f->first && src < f->last)
		f->calls[f->end[src]++] = call;
}

/* The calls of one sample, from the root on; nodes that are not there are passed over. */
static void walk(struct finder *f, uint32_t index)
{
	const struct cprof_profile *p = f->graph->report->profile;
	const struct cprof_node_infos *infos = &f->graph->infos;
	const struct cprof_sample *sample = &p->samples[index];
	uint32_t parent = CPROF_GRAPH_NONE;
	bool residual = false;
	for (uint32_t i = sample->n_locations; i-- > 0;) {
		uint32_t location = p->stacks[sample->first_location + i];
		uint32_t last = infos->slot_of[location + 1] - 1;
		for (uint32_t slot = last + 1; slot-- > infos->slot_of[location];) {
			uint32_t node = f->node_of[infos->slots[slot]];
			if (node == CPROF_GRAPH_NONE) {
				residual = true;
				continue;
			}
			if (parent != CPROF_GRAPH_NONE && parent != node)
				take(f, parent,
				     (struct call){ .dest = node & (MOST - 1),
						    .residual = residual,
						    .sample = index & (MOST - 1),
						    .is_inline = slot != last });
			parent = node;
			residual = false;
		}
	}
}

static void walk_all(struct finder *f)
{
	const struct cprof_report *report = f->graph->report;
	for (uint32_t i = 0; i < report->profile->n_samples; i++) {
		if (cprof_report_value(report, i) || cprof_report_divisor(report, i))
			walk(f, i);
	}
}

/* A call counts once in a sample, however often the sample has it. */
static struct cprof_error *add_up(struct finder *f, uint32_t src, const struct call *calls,
				  uint64_t n)
{
	struct cprof_graph *g = f->graph;
	uint32_t first = g->n_edges;
	CPROF_AUTO(free) uint32_t *seen = NULL; /* by edge of this caller: the last sample */
	uint32_t room = 0;
	for (uint64_t i = 0; i < n; i++) {
		uint32_t dest = calls[i].dest, index = f->edge_of[dest];
		bool is_new = index < first || index >= g->n_edges || g->edges[index].dest != dest;
		if (is_new) {
			index = f->edge_of[dest] = g->n_edges;
			struct cprof_error *err = cprof_graph_add_edge(g, src, dest);
			if (!err)
				err = cprof_profile_grow(&seen, index - first, &room, 1,
							 sizeof(*seen));
			if (err)
				return err;
		} else if (seen[index - first] == calls[i].sample) {
			continue;
		}
		seen[index - first] = calls[i].sample;
		struct cprof_edge *edge = &g->edges[index];
		edge->residual = edge->residual || calls[i].residual;
		edge->is_inline = edge->is_inline && calls[i].is_inline;
		cprof_graph_weigh_edge(g, index, cprof_report_value(g->report, calls[i].sample),
				       cprof_report_divisor(g->report, calls[i].sample));
	}
	return NULL;
}

/* The callers from `first` on whose calls fit into the room, at least one. How many calls they have. */
static uint64_t choose(struct finder *f)
{
	uint64_t n = 0;
	for (f->last = f->first; f->last < f->graph->n_nodes; f->last++) {
		if (f->last > f->first && n + f->n_calls[f->last] > CALLS_AT_ONCE)
			break;
		f->end[f->last] = n;
		n += f->n_calls[f->last];
	}
	return n;
}

static struct cprof_error *find_some(struct finder *f)
{
	uint64_t n = choose(f);
	CPROF_AUTO(free) struct call *calls = malloc((n + 1) * sizeof(*calls));
	if (!calls)
		return cprof_error_no_memory();
	f->calls = calls;
	walk_all(f);
	struct cprof_error *err = NULL;
	for (uint32_t i = f->first; !err && i < f->last; i++)
		err = add_up(f, i, calls + (f->end[i] - f->n_calls[i]), f->n_calls[i]);
	f->calls = NULL;
	f->first = f->last;
	return err;
}

struct cprof_error *cprof_graph_find_edges(struct cprof_graph *graph, const uint32_t *node_of)
{
	size_t n = graph->n_nodes;
	if (n >= MOST || graph->report->profile->n_samples >= MOST)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "too many samples to find their calls");
	CPROF_AUTO(free) uint64_t *n_calls = calloc(n + 1, sizeof(*n_calls));
	CPROF_AUTO(free) uint64_t *end = calloc(n + 1, sizeof(*end));
	CPROF_AUTO(free) uint32_t *edge_of = calloc(n + 1, sizeof(*edge_of));
	if (!n_calls || !end || !edge_of)
		return cprof_error_no_memory();
	struct finder f = { .graph = graph,
			    .node_of = node_of,
			    .n_calls = n_calls,
			    .end = end,
			    .edge_of = edge_of };
	walk_all(&f);
	struct cprof_error *err = NULL;
	while (!err && f.first < n)
		err = find_some(&f);
	return err;
}
