/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/pruned_tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "convert/graph/graph.h"

#define AHEAD 16u /* items: what is not in a cache is asked for that much earlier */

/*
 * A sample on its way from the root to the leaf. It says itself where it stands: what is looked up by its number is
 * somewhere else in memory for each, which took half of the time.
 */
struct item {
	const uint32_t *at, *end; /* frames behind the next one; borrowed from the stacks */
	uint32_t sample;
	uint32_t frame; /* the next one; CPROF_PRUNED_FILLER at the end */
};

/* The samples items[first, end) that go through one node, which stands in front of their next frames. */
struct range {
	uint32_t first, end;
	struct cprof_pruned_node node;
};

/* What is known of a frame that the range at hand goes on with. */
struct next {
	uint32_t count; /* items; 0: not met */
	uint32_t place; /* where its items go; the filler's where it is narrow */
	bool is_wide;
};

struct pruner {
	const struct cprof_pruned_wish *wish;
	struct cprof_pruned_tree *tree;
	uint32_t n_columns, n_frames;
	double *weight; /* by type: of the samples that are looked at */
	struct item *items, *spare;
	uint32_t n_items;
	struct next *next; /* by frame; all zero between two ranges */
	int64_t *sum;      /* by frame and column, as `next` */
	uint32_t *met;     /* frames of the range at hand, in order of appearance */
	uint32_t n_met;
	bool *paid; /* by frame: its cost is in `used` */
	uint64_t used;
	struct range *todo; /* a stack: what comes first is on top */
	uint32_t n_todo, todo_room;
};

/* The item one frame on. */
static struct item step(struct item item)
{
	item.frame = item.at < item.end ? *item.at++ : CPROF_PRUNED_FILLER;
	return item;
}

/* A sample in front of its first frame, which is its group's where there are groups. */
static struct item item_of(const struct pruner *p, uint32_t sample)
{
	const struct cprof_pruned_wish *wish = p->wish;
	const struct cprof_root_stacks *stacks = wish->stacks;
	struct item item = { .at = stacks->frames + stacks->start[sample],
			     .end = stacks->frames + stacks->start[sample + 1],
			     .sample = sample };
	if (!wish->group_of)
		return step(item);
	item.frame = wish->n_infos + wish->group_of[sample];
	return item;
}

static bool is_wide(const struct pruner *p, const int64_t *sum)
{
	const struct cprof_stack_columns *c = p->wish->columns;
	for (uint32_t type = 0; type < c->n_types; type++) {
		int64_t wide = c->is_diff ? cprof_measure_add(sum[2 * type], sum[2 * type + 1])
					  : sum[type];
		if (wide > 0 && (double)wide >= p->wish->share * p->weight[type])
			return true;
	}
	return false;
}

static struct cprof_error *put_node(struct pruner *p, const struct cprof_pruned_node *node,
				    int64_t **ret_self)
{
	struct cprof_pruned_tree *t = p->tree;
	struct cprof_error *err =
		cprof_profile_grow(&t->nodes, t->n_nodes, &t->nodes_room, 1, sizeof(*t->nodes));
	if (!err)
		err = cprof_profile_grow(&t->self, t->n_nodes * p->n_columns, &t->self_room,
					 p->n_columns, sizeof(*t->self));
	if (err)
		return err;
	*ret_self = &t->self[(size_t)t->n_nodes * p->n_columns];
	memset(*ret_self, 0, p->n_columns * sizeof(**ret_self));
	t->nodes[t->n_nodes++] = *node;
	p->used += p->wish->node_cost;
	if (node->frame != CPROF_PRUNED_FILLER && !p->paid[node->frame]) {
		p->paid[node->frame] = true;
		p->used += p->wish->cost[node->frame];
	}
	return NULL;
}

/* Add up by next frame; what has arrived is the node's own. */
static void gather(struct pruner *p, const struct range *r, int64_t *self)
{
	p->n_met = 0;
	for (uint32_t i = r->first; i < r->end; i++) {
		const uint32_t frame = p->items[i].frame;
		if (r->end - i > AHEAD)
			cprof_stack_columns_prefetch(p->wish->columns, p->items[i + AHEAD].sample);
		if (frame == CPROF_PRUNED_FILLER) {
			if (self)
				cprof_stack_columns_add(p->wish->columns, p->items[i].sample, self);
			continue;
		}
		if (!p->next[frame].count++)
			p->met[p->n_met++] = frame;
		cprof_stack_columns_add(p->wish->columns, p->items[i].sample,
					&p->sum[(size_t)frame * p->n_columns]);
	}
}

static int64_t weight_of(const struct pruner *p, uint32_t frame)
{
	const struct cprof_stack_columns *c = p->wish->columns;
	const int64_t *sum = &p->sum[(size_t)frame * p->n_columns];
	if (c->is_diff)
		return cprof_measure_add(sum[2 * c->shown], sum[2 * c->shown + 1]);
	return sum[c->shown];
}

/* The heaviest first. */
static int compare_met(const void *a, const void *b, void *pruner)
{
	const struct pruner *p = pruner;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	int64_t wx = weight_of(p, x), wy = weight_of(p, y);
	if (wx != wy)
		return wx > wy ? -1 : 1;
	return (x > y) - (x < y);
}

/* Decide what is wide and bring it to the front of `met`. Returns how many are. */
static uint32_t choose_wide(struct pruner *p, uint32_t depth)
{
	uint32_t n_wide = 0;
	for (uint32_t i = 0; depth <= p->wish->max_depth && i < p->n_met; i++) {
		uint32_t frame = p->met[i];
		if (!is_wide(p, &p->sum[(size_t)frame * p->n_columns]))
			continue;
		p->next[frame].is_wide = true;
		p->met[i] = p->met[n_wide];
		p->met[n_wide++] = frame;
	}
	return n_wide;
}

/* What is wide, in order, and the place of every frame's first item. Returns how many are wide. */
static uint32_t divide(struct pruner *p, uint32_t first, uint32_t depth)
{
	uint32_t n_wide = choose_wide(p, depth);
	if (n_wide)
		qsort_r(p->met, n_wide, sizeof(*p->met), compare_met, p);
	uint32_t place = first;
	for (uint32_t i = 0; i < p->n_met; i++) {
		p->next[p->met[i]].place = place;
		place += p->next[p->met[i]].count;
	}
	return n_wide;
}

/* Every item behind its next frame, among those that go the same way; they are left in the order that they had. */
static uint32_t move_on(struct pruner *p, const struct range *r)
{
	uint32_t filler = CPROF_GRAPH_NONE, end = r->first;
	for (uint32_t i = 0; i < p->n_met; i++) {
		const struct next *next = &p->next[p->met[i]];
		end += next->count;
		if (!next->is_wide && filler == CPROF_GRAPH_NONE)
			filler = next->place;
	}
	for (uint32_t i = r->first; i < r->end; i++) {
		if (r->end - i > AHEAD)
			__builtin_prefetch(p->items[i + AHEAD].at);
		if (p->items[i].frame == CPROF_PRUNED_FILLER)
			continue;
		struct next *next = &p->next[p->items[i].frame];
		uint32_t to = next->is_wide ? next->place++ : filler++;
		p->spare[to] = step(p->items[i]);
	}
	memcpy(&p->items[r->first], &p->spare[r->first], (end - r->first) * sizeof(*p->items));
	return end;
}

/* The children of a range, as ranges: the last one is pushed first. */
static struct cprof_error *push_children(struct pruner *p, uint32_t n_wide, uint32_t depth,
					 uint32_t end)
{
	struct cprof_error *err = cprof_profile_grow(&p->todo, p->n_todo, &p->todo_room,
						     (size_t)n_wide + 1, sizeof(*p->todo));
	if (err)
		return err;
	uint32_t narrow = p->n_met - n_wide, first = end;
	for (uint32_t i = n_wide; i < p->n_met; i++)
		first -= p->next[p->met[i]].count;
	if (narrow)
		p->todo[p->n_todo++] =
			(struct range){ first, end, { depth, CPROF_PRUNED_FILLER, narrow } };
	for (uint32_t i = n_wide; i-- > 0;) {
		uint32_t frame = p->met[i], count = p->next[frame].count;
		p->todo[p->n_todo++] = (struct range){ first - count, first, { depth, frame, 0 } };
		first -= count;
	}
	return NULL;
}

static void forget_met(struct pruner *p)
{
	for (uint32_t i = 0; i < p->n_met; i++) {
		p->next[p->met[i]] = (struct next){ 0 };
		memset(&p->sum[(size_t)p->met[i] * p->n_columns], 0,
		       p->n_columns * sizeof(*p->sum));
	}
}

/*
 * Go one frame on with all samples of a range. Those of a filler go on until some of them meet in a wide frame: fillers in
 * a row say no more than one.
 */
static struct cprof_error *divide_range(struct pruner *p, struct range *r, uint32_t depth,
					int64_t *self)
{
	for (;;) {
		gather(p, r, self);
		uint32_t n_wide = divide(p, r->first, depth);
		r->end = move_on(p, r);
		bool goes_on = self && r->node.frame == CPROF_PRUNED_FILLER && !n_wide && p->n_met;
		struct cprof_error *err = NULL;
		if (!goes_on)
			err = push_children(p, n_wide, depth, r->end);
		forget_met(p);
		if (!goes_on)
			return err;
	}
}

/* A filler that is narrow itself, or too deep, is the end: all that goes through it is its own. */
static bool close_filler(struct pruner *p, const struct range *r, int64_t *self)
{
	if (r->node.frame != CPROF_PRUNED_FILLER)
		return false;
	for (uint32_t i = r->first; i < r->end; i++)
		cprof_stack_columns_add(p->wish->columns, p->items[i].sample, self);
	if (r->node.depth > p->wish->max_depth || !is_wide(p, self))
		return true;
	memset(self, 0, p->n_columns * sizeof(*self));
	return false;
}

static struct cprof_error *prune(struct pruner *p)
{
	struct range all = { .end = p->n_items };
	struct cprof_error *err = divide_range(p, &all, 0, NULL);
	while (!err && p->n_todo && p->used <= p->wish->budget) {
		struct range r = p->todo[--p->n_todo];
		int64_t *self;
		err = put_node(p, &r.node, &self);
		if (!err && !close_filler(p, &r, self))
			err = divide_range(p, &r, r.node.depth + 1, self);
	}
	p->tree->cost = p->used;
	p->tree->fits = p->n_todo == 0 && p->used <= p->wish->budget;
	return err;
}

static void put_items(struct pruner *p)
{
	const uint32_t every = p->wish->every ? p->wish->every : 1;
	for (uint64_t i = 0; i < p->wish->columns->report->profile->n_samples; i += every) {
		const struct item item = item_of(p, (uint32_t)i);
		if (!cprof_stack_columns_empty(p->wish->columns, (uint32_t)i) &&
		    item.frame != CPROF_PRUNED_FILLER)
			p->items[p->n_items++] = item;
	}
}

static void weigh_items(struct pruner *p)
{
	const struct cprof_stack_columns *c = p->wish->columns;
	const uint32_t sides = c->is_diff ? 2 : 1;
	for (uint32_t type = 0; type < c->n_types; type++) {
		if (p->wish->every <= 1) {
			p->weight[type] = (double)c->weight[type];
			continue;
		}
		for (uint32_t i = 0; i < p->n_items; i++) {
			const int64_t *values = &c->values[(size_t)p->items[i].sample * c->n];
			for (uint32_t side = 0; side < sides; side++)
				p->weight[type] += (double)values[type * sides + side];
		}
	}
}

static struct cprof_error *make_room(struct pruner *p)
{
	size_t n = (size_t)p->wish->columns->report->profile->n_samples /
			   (p->wish->every ? p->wish->every : 1) +
		   2;
	size_t frames = (size_t)p->n_frames + 1;
	p->weight = calloc((size_t)p->wish->columns->n_types + 1, sizeof(*p->weight));
	p->items = calloc(n, sizeof(*p->items));
	p->spare = calloc(n, sizeof(*p->spare));
	p->next = calloc(frames, sizeof(*p->next));
	p->sum = calloc(frames * p->n_columns + 1, sizeof(*p->sum));
	p->met = calloc(frames, sizeof(*p->met));
	p->paid = calloc(frames, sizeof(*p->paid));
	if (p->weight && p->items && p->spare && p->next && p->sum && p->met && p->paid)
		return NULL;
	return cprof_error_no_memory();
}

static void free_room(struct pruner *p)
{
	free(p->weight);
	free(p->items);
	free(p->spare);
	free(p->next);
	free(p->sum);
	free(p->met);
	free(p->paid);
	free(p->todo);
}

struct cprof_error *cprof_pruned_tree_new(const struct cprof_pruned_wish *wish,
					  struct cprof_pruned_tree **ret_tree)
{
	CPROF_AUTO(pruned_tree) struct cprof_pruned_tree *tree = calloc(1, sizeof(*tree));
	if (!tree)
		return cprof_error_no_memory();
	struct pruner p = { .wish = wish,
			    .tree = tree,
			    .n_columns = wish->columns->n,
			    .n_frames = wish->n_infos + wish->n_groups };
	tree->n_columns = p.n_columns;
	struct cprof_error *err = make_room(&p);
	if (!err) {
		put_items(&p);
		weigh_items(&p);
		err = prune(&p);
	}
	free_room(&p);
	if (err)
		return err;
	*ret_tree = tree;
	tree = NULL;
	return NULL;
}

void cprof_pruned_tree_free(struct cprof_pruned_tree *tree)
{
	if (!tree)
		return;
	free(tree->nodes);
	free(tree->self);
	free(tree);
}
