/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/fitted_tree.h - the finest pruned tree, or nearly, that there is room for.
 *
 * Tries go over all samples again, so there are few: from fine to coarse, then between the last two as long as half of the
 * budget is left. Of a large profile this is done with a part of its samples first, which tells nearly the share that fits.
 */
#ifndef CPROF_CONVERT_GRAPH_FITTED_TREE_H
#define CPROF_CONVERT_GRAPH_FITTED_TREE_H

#include "convert/graph/pruned_tree.h"

/* `wish` says with which share to begin, and afterwards which was the last one that was tried. `*ret_tree` may be set on error. */
struct cprof_error *cprof_fitted_tree_new(struct cprof_pruned_wish *wish,
					  struct cprof_pruned_tree **ret_tree);

#endif
