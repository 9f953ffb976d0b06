/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/pruned_tree.h - all stacks of a report as one tree that stays small whatever the profile.
 *
 * What is narrower than a share of the total is joined, sibling by sibling, to one frame without a name, the filler. What the
 * joined frames call is joined as well: wide callees of narrow callers stand under the filler, under their names. So every
 * value of the profile is in the tree once, and sums over it are sums over the profile.
 * Made by dividing the samples from the root on; the whole tree, which may be large, is never held.
 */
#ifndef CPROF_CONVERT_GRAPH_PRUNED_TREE_H
#define CPROF_CONVERT_GRAPH_PRUNED_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "convert/graph/root_stacks.h"
#include "convert/graph/stack_columns.h"
#include "cprof/error.h"

#define CPROF_PRUNED_FILLER UINT32_MAX

struct cprof_pruned_node {
	uint32_t depth;  /* of a root: 0 */
	uint32_t frame;  /* an info; from n_infos on a group; CPROF_PRUNED_FILLER */
	uint32_t joined; /* of a filler: how many siblings it stands for */
};

struct cprof_pruned_tree {
	/* A node stands before its children; siblings from the widest down, the filler last. All arrays are owned. */
	struct cprof_pruned_node *nodes;
	uint32_t n_nodes, nodes_room;
	int64_t *self; /* node i, column c: self[i * n_columns + c] */
	uint32_t self_room, n_columns;
	uint64_t cost; /* of its nodes, in the unit of the budget */
	bool fits;     /* false: the budget was used up, and this is only the beginning of a tree */
};

/* What the tree is made of and how large it may get. */
struct cprof_pruned_wish {
	const struct cprof_stack_columns *columns; /* borrowed */
	const struct cprof_root_stacks *stacks;    /* borrowed */
	uint32_t n_infos;
	const uint32_t *group_of; /* by sample, below n_groups: a frame above the root; or NULL */
	uint32_t n_groups;
	double share; /* of a type's total: what is narrower in every type is joined; 0: nothing is */
	uint32_t max_depth;   /* nodes deeper than that are joined, however wide */
	const uint32_t *cost; /* by frame: what its first node costs more than `node_cost` */
	uint32_t node_cost;
	uint64_t budget; /* in the unit of the costs */
	uint32_t
		every; /* one of so many samples is looked at, and shares are of what these have; 0: all are */
};

struct cprof_error *cprof_pruned_tree_new(const struct cprof_pruned_wish *wish,
					  struct cprof_pruned_tree **ret_tree);
void cprof_pruned_tree_free(struct cprof_pruned_tree *tree);
static inline void cprof_auto_pruned_tree(struct cprof_pruned_tree **tree)
{
	cprof_pruned_tree_free(*tree);
}

#endif
