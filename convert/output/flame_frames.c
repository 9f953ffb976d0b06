#include "convert/output/flame_frames.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

struct chooser {
	struct cprof_graph *tree;
	struct cprof_flame_frames *frames;
	uint64_t *weight;    /* by node */
	uint32_t *child;     /* by node: the first; by n_nodes: the first root */
	uint32_t *sibling;   /* by node: the next */
	uint32_t *next_node; /* by node: the next one of the same frame */
	uint32_t *frame_of;  /* by node: its own frame, + 1; 0: it has none */
	uint32_t *group_of;  /* by info, while the calls of a frame are put together: frame + 1 */
	bool *named;         /* by info: its name is on the page already */
	uint32_t *order;     /* nodes */
	uint64_t least;      /* what is put together must be wider to be shown */
	size_t used, bytes;
};

/* Children have larger numbers than their parents, so one pass from the end sums everything up. */
static void weigh(struct chooser *c)
{
	for (uint32_t i = c->tree->n_nodes; i-- > 0;) {
		const struct cprof_node *node = &c->tree->nodes[i];
		uint32_t above = node->parent == CPROF_GRAPH_NONE ? c->tree->n_nodes : node->parent;
		c->weight[i] += (uint64_t)cprof_measure_abs(cprof_node_flat(node));
		c->weight[above] += c->weight[i];
		c->sibling[i] = c->child[above];
		c->child[above] = i;
	}
}

static int compare_weights(const void *a, const void *b, void *chooser)
{
	const struct chooser *c = chooser;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	if (c->weight[x] != c->weight[y])
		return c->weight[x] > c->weight[y] ? -1 : 1;
	return (x > y) - (x < y); /* parents before children */
}

static size_t digits(uint64_t value)
{
	size_t n = 1;
	for (; value > 9; value /= 10)
		n++;
	return n;
}

/* Whether such a frame still has room; it is then taken. */
static bool take_room(struct chooser *c, uint32_t info, uint64_t weight, size_t bytes)
{
	size_t need = 8 + digits(weight); /* "12,1234,56789,," */
	need += info == CPROF_FLAME_NARROW ? 4 : digits(info);
	if (info != CPROF_FLAME_NARROW && !c->named[info])
		need += strlen(cprof_node_infos_name(&c->tree->infos, info)) + 4;
	if (c->used + need > bytes)
		return false;
	c->used += need;
	if (info != CPROF_FLAME_NARROW)
		c->named[info] = true;
	return true;
}

/* Is what `parent` calls below a narrow frame? */
static bool is_in_narrow(const struct cprof_flame_frames *frames, uint32_t parent)
{
	return parent != CPROF_GRAPH_NONE &&
	       (frames->all[parent].in_narrow || frames->all[parent].info == CPROF_FLAME_NARROW);
}

/* A frame under `parent` (CPROF_GRAPH_NONE: a root), before its siblings; *ret is its number. */
static struct cprof_error *add_frame(struct chooser *c, uint32_t parent, uint32_t info,
				     uint32_t *ret)
{
	struct cprof_flame_frames *f = c->frames;
	struct cprof_error *err = cprof_profile_grow(&f->all, f->n, &f->room, 1, sizeof(*f->all));
	if (err)
		return err;
	uint32_t *first = parent == CPROF_GRAPH_NONE ? &f->first_root : &f->all[parent].first_child;
	f->all[f->n] = (struct cprof_flame_frame){ .info = info,
						   .first_child = CPROF_GRAPH_NONE,
						   .next_sibling = *first,
						   .in_narrow = is_in_narrow(f, parent),
						   .nodes = CPROF_GRAPH_NONE };
	*first = f->n;
	*ret = f->n++;
	return NULL;
}

static void join(struct chooser *c, uint32_t frame, uint32_t node)
{
	struct cprof_flame_frame *f = &c->frames->all[frame];
	f->weight += c->weight[node];
	f->value = cprof_measure_add(f->value, cprof_node_cum(&c->tree->nodes[node]));
	c->next_node[node] = f->nodes;
	f->nodes = node;
}

/*
 * The widest, until `bytes` are used up. A child is never wider than its parent, so no frame hangs in the air. Says
 * whether there was room for all.
 */
static bool take_widest(struct chooser *c, size_t bytes)
{
	uint32_t n = c->tree->n_nodes, taken = 0;
	for (uint32_t i = 0; i < n; i++)
		c->order[i] = i;
	if (n)
		qsort_r(c->order, n, sizeof(*c->order), compare_weights, c);
	while (taken < n && c->weight[c->order[taken]] &&
	       take_room(c, c->tree->nodes[c->order[taken]].info, c->weight[c->order[taken]],
			 bytes)) {
		c->least = c->weight[c->order[taken]];
		c->frame_of[c->order[taken++]] = 1;
	}
	return taken == n || !c->weight[c->order[taken]];
}

/* A frame for each node that was taken. */
static struct cprof_error *add_taken(struct chooser *c)
{
	for (uint32_t i = 0; i < c->tree->n_nodes; i++) {
		if (!c->frame_of[i])
			continue;
		uint32_t parent = c->tree->nodes[i].parent, frame;
		parent = parent == CPROF_GRAPH_NONE ? parent : c->frame_of[parent] - 1;
		struct cprof_error *err = add_frame(c, parent, c->tree->nodes[i].info, &frame);
		if (err)
			return err;
		join(c, frame, i);
		c->frame_of[i] = frame + 1;
	}
	return NULL;
}

/* What of a frame's calls is wide enough together gets a frame each; *rest are the nodes of all others. */
static struct cprof_error *group(struct chooser *c, uint32_t parent, uint32_t first_call,
				 uint32_t *ret_rest)
{
	*ret_rest = CPROF_GRAPH_NONE;
	for (uint32_t i = first_call, next; i != CPROF_GRAPH_NONE; i = next) {
		next = c->next_node[i];
		uint32_t info = c->tree->nodes[i].info;
		uint64_t sum = c->weight[c->tree->n_nodes + 1 + info];
		bool fits =
			c->group_of[info] || (sum > c->least && take_room(c, info, sum, c->bytes));
		if (!fits) {
			c->next_node[i] = *ret_rest;
			*ret_rest = i;
			continue;
		}
		if (!c->group_of[info]) {
			uint32_t frame;
			struct cprof_error *err = add_frame(c, parent, info, &frame);
			if (err)
				return err;
			c->group_of[info] = frame + 1;
		}
		join(c, c->group_of[info] - 1, i);
	}
	return NULL;
}

/* One frame without a name for all of these nodes, or where that is too narrow as well, none. */
static struct cprof_error *add_narrow(struct chooser *c, uint32_t parent, uint32_t nodes)
{
	uint64_t sum = 0;
	for (uint32_t i = nodes; i != CPROF_GRAPH_NONE; i = c->next_node[i])
		sum += c->weight[i];
	bool in_narrow = is_in_narrow(c->frames, parent);
	/* Where nobody asks for it, as below a frame without a name, a narrow one says nothing. */
	bool wanted = sum && (!in_narrow || sum > c->least);
	if (!wanted || !take_room(c, CPROF_FLAME_NARROW, sum, c->bytes)) {
		c->frames->left_out += in_narrow ? 0 : sum;
		return NULL;
	}
	uint32_t frame;
	struct cprof_error *err = add_frame(c, parent, CPROF_FLAME_NARROW, &frame);
	for (uint32_t i = nodes, next; !err && i != CPROF_GRAPH_NONE; i = next) {
		next = c->next_node[i];
		join(c, frame, i);
	}
	return err;
}

/* The calls of the nodes from `node` on that have no frame of their own yet, as a list. */
static uint32_t list_calls(struct chooser *c, uint32_t node)
{
	uint32_t list = CPROF_GRAPH_NONE;
	for (; node != CPROF_GRAPH_NONE;
	     node = node == c->tree->n_nodes ? CPROF_GRAPH_NONE : c->next_node[node]) {
		for (uint32_t i = c->child[node]; i != CPROF_GRAPH_NONE; i = c->sibling[i]) {
			if (c->frame_of[i] || !c->weight[i])
				continue;
			c->next_node[i] = list;
			list = i;
		}
	}
	return list;
}

static struct cprof_error *put_together(struct chooser *c, uint32_t frame, uint32_t first_node)
{
	uint32_t list = list_calls(c, first_node), rest;
	uint64_t *sums = c->weight + c->tree->n_nodes + 1;
	for (uint32_t i = list; i != CPROF_GRAPH_NONE; i = c->next_node[i])
		sums[c->tree->nodes[i].info] += c->weight[i];
	uint32_t before = c->frames->n;
	struct cprof_error *err = group(c, frame, list, &rest);
	for (uint32_t i = before; i < c->frames->n; i++) {
		c->group_of[c->frames->all[i].info] = 0;
		sums[c->frames->all[i].info] = 0;
	}
	for (uint32_t i = rest; i != CPROF_GRAPH_NONE; i = c->next_node[i])
		sums[c->tree->nodes[i].info] = 0;
	return err ? err : add_narrow(c, frame, rest);
}

/* The frames whose calls are still to be looked at, a binary heap: the widest is at the top. */
struct queue {
	uint32_t *frames; /* owned */
	uint32_t n, room;
};

static bool wider(const struct chooser *c, uint32_t a, uint32_t b)
{
	return c->frames->all[a].weight > c->frames->all[b].weight;
}

static struct cprof_error *push(const struct chooser *c, struct queue *q, uint32_t frame)
{
	struct cprof_error *err =
		cprof_profile_grow(&q->frames, q->n, &q->room, 1, sizeof(*q->frames));
	if (err)
		return err;
	uint32_t at = q->n++;
	for (; at && wider(c, frame, q->frames[(at - 1) / 2]); at = (at - 1) / 2)
		q->frames[at] = q->frames[(at - 1) / 2];
	q->frames[at] = frame;
	return NULL;
}

static uint32_t pop(const struct chooser *c, struct queue *q)
{
	uint32_t top = q->frames[0], last = q->frames[--q->n], at = 0;
	for (;;) {
		uint32_t below = 2 * at + 1;
		if (below + 1 < q->n && wider(c, q->frames[below + 1], q->frames[below]))
			below++;
		if (below >= q->n || !wider(c, q->frames[below], last))
			break;
		q->frames[at] = q->frames[below];
		at = below;
	}
	q->frames[at] = last;
	return top;
}

/* What the frames call that have none of their own, from the widest on, and then what those call. */
static struct cprof_error *put_all_together(struct chooser *c, struct queue *queue)
{
	struct cprof_error *err = put_together(c, CPROF_GRAPH_NONE, c->tree->n_nodes);
	uint32_t queued = 0;
	while (!err) {
		for (; !err && queued < c->frames->n; queued++)
			err = push(c, queue, queued);
		if (err || !queue->n)
			break;
		uint32_t frame = pop(c, queue);
		err = put_together(c, frame, c->frames->all[frame].nodes);
	}
	return err;
}

static struct cprof_error *choose(struct chooser *c)
{
	/* The rest of the room is for what the narrow ones call. */
	bool all = take_widest(c, c->bytes / 2);
	struct cprof_error *err = add_taken(c);
	if (err || all)
		return err;
	struct queue queue = { 0 };
	err = put_all_together(c, &queue);
	free(queue.frames);
	return err;
}

/* Frames were added before their siblings; they are shown in the order of the tree. */
static uint32_t reverse(struct cprof_flame_frames *frames, uint32_t first)
{
	uint32_t done = CPROF_GRAPH_NONE;
	for (uint32_t next; first != CPROF_GRAPH_NONE; first = next) {
		next = frames->all[first].next_sibling;
		frames->all[first].next_sibling = done;
		done = first;
	}
	return done;
}

static void put_in_order(struct cprof_flame_frames *frames)
{
	frames->first_root = reverse(frames, frames->first_root);
	for (uint32_t i = 0; i < frames->n; i++)
		frames->all[i].first_child = reverse(frames, frames->all[i].first_child);
}

/* The nodes that no frame with a name stands for. */
static void count_nameless(struct chooser *c)
{
	struct cprof_flame_frames *f = c->frames;
	uint32_t named = 0, empty = 0;
	for (uint32_t i = 0; i < f->n; i++) {
		for (uint32_t node = f->all[i].nodes; node != CPROF_GRAPH_NONE;
		     node = c->next_node[node])
			named += f->all[i].info != CPROF_FLAME_NARROW;
	}
	for (uint32_t i = 0; i < c->tree->n_nodes; i++)
		empty += c->weight[i] == 0;
	f->n_nameless = c->tree->n_nodes - named - empty;
}

struct cprof_error *cprof_flame_frames_choose(struct cprof_graph *tree, size_t bytes,
					      struct cprof_flame_frames *ret_frames)
{
	const size_t n = (size_t)tree->n_nodes + 1, infos = (size_t)tree->infos.n + 1;
	CPROF_AUTO(flame_frames)
	struct cprof_flame_frames frames = { .first_root = CPROF_GRAPH_NONE };
	CPROF_AUTO(free) uint64_t *weight = calloc(n + infos, sizeof(*weight));
	CPROF_AUTO(free) uint32_t *numbers = calloc(5 * n + infos, sizeof(*numbers));
	CPROF_AUTO(free) bool *named = calloc(infos, sizeof(*named));
	if (!weight || !numbers || !named)
		return cprof_error_no_memory();
	struct chooser c = { .tree = tree,
			     .frames = &frames,
			     .weight = weight,
			     .child = numbers,
			     .sibling = numbers + n,
			     .next_node = numbers + 2 * n,
			     .frame_of = numbers + 3 * n,
			     .order = numbers + 4 * n,
			     .group_of = numbers + 5 * n,
			     .named = named,
			     .bytes = bytes };
	for (size_t i = 0; i < 2 * n; i++) /* child and sibling */
		numbers[i] = CPROF_GRAPH_NONE;
	weigh(&c);
	frames.width = weight[tree->n_nodes];
	struct cprof_error *err = choose(&c);
	if (err)
		return err;
	put_in_order(&frames);
	count_nameless(&c);
	*ret_frames = frames;
	frames = (struct cprof_flame_frames){ 0 };
	return NULL;
}

void cprof_flame_frames_deinit(struct cprof_flame_frames *frames)
{
	free(frames->all);
	*frames = (struct cprof_flame_frames){ 0 };
}
