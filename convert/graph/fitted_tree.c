/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/fitted_tree.h"

#include <math.h>

#include "base/cleanup.h"

#define MANY   65536u /* samples: with more a part of them is tried first */
#define COARSE 3.0    /* a step from fine to coarse */
#define NEAR   1.25   /* the same where the share is known nearly */

/*
 * A tree that there is room for: each step joins more, and a profile whose stacks alone are too deep is cut below. `*missed`
 * is the last share that was too fine. A try ends as soon as its budget is used up.
 */
static struct cprof_error *coarsen(struct cprof_pruned_wish *wish, double by, double *missed,
				   struct cprof_pruned_tree **ret_tree)
{
	for (;;) {
		struct cprof_error *err = cprof_pruned_tree_new(wish, ret_tree);
		if (err || (*ret_tree)->fits || !wish->max_depth)
			return err;
		cprof_pruned_tree_free(*ret_tree);
		*ret_tree = NULL;
		*missed = wish->share;
		if (wish->share < 1.0 / 32)
			wish->share = wish->share > 0 ? wish->share * by : 1.0 / (1 << 16);
		else
			wish->max_depth /= 4;
	}
}

/* A tree that is finer and fits as well, where much of the budget is left; `*tree` stays where there is none. */
static struct cprof_error *refine(struct cprof_pruned_wish *wish, double *missed,
				  struct cprof_pruned_tree **tree)
{
	for (int tries = 0; tries < 4 && *missed < wish->share; tries++) {
		if ((*tree)->cost > wish->budget / 2)
			break;
		double fits = wish->share;
		struct cprof_pruned_tree *finer;
		wish->share = *missed > 0 ? sqrt(*missed * fits) : fits / 2;
		struct cprof_error *err = cprof_pruned_tree_new(wish, &finer);
		if (err)
			return err;
		if (finer->fits) {
			cprof_pruned_tree_free(*tree);
			*tree = finer;
		} else {
			cprof_pruned_tree_free(finer);
			*missed = wish->share;
			wish->share = fits;
		}
	}
	return NULL;
}

static struct cprof_error *fit(struct cprof_pruned_wish *wish, double by, double *missed,
			       struct cprof_pruned_tree **ret_tree)
{
	struct cprof_error *err = coarsen(wish, by, missed, ret_tree);
	return err ? err : refine(wish, missed, ret_tree);
}

/* Begin with the share, and the depth, that fits a part of the samples. */
static struct cprof_error *foretell(struct cprof_pruned_wish *wish, double *missed)
{
	CPROF_AUTO(pruned_tree) struct cprof_pruned_tree *tree = NULL;
	wish->every = wish->columns->report->profile->n_samples / MANY + 1;
	struct cprof_error *err = fit(wish, COARSE, missed, &tree);
	wish->every = 0;
	return err;
}

struct cprof_error *cprof_fitted_tree_new(struct cprof_pruned_wish *wish,
					  struct cprof_pruned_tree **ret_tree)
{
	double missed = 0;
	if (wish->columns->report->profile->n_samples <= MANY)
		return fit(wish, COARSE, &missed, ret_tree);
	struct cprof_error *err = foretell(wish, &missed);
	return err ? err : fit(wish, NEAR, &missed, ret_tree);
}
