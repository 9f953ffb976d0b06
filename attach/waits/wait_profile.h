/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_profile.h - from the sums of a window to rows of the profile: kinds, labels, sample types.
 *
 * Runs after the window, when looking up names disturbs nobody.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_PROFILE_H
#define CPROF_ATTACH_WAITS_WAIT_PROFILE_H

#include "attach/locks/wait_settle.h"
#include "attach/waits/wait_intake.h"
#include "cprof/builder.h"

#define CPROF_WAIT_PROFILE_LABELS_MAX 8

/* The sample types of a run, for cprof_session_new(). */
const struct cprof_builder_type *cprof_wait_profile_types(bool releases, bool all, size_t *ret_n,
							  const char **ret_default);

/* A row as people are to see it; valid during the call that shows it. */
struct cprof_wait_shown {
	const struct cprof_wait_row *row;
	struct cprof_wait_verdict verdict;
	struct cprof_session_stack stack; /* from the function on that the program called */
	struct cprof_builder_label labels[CPROF_WAIT_PROFILE_LABELS_MAX];
	size_t n_labels;
};

/* Show every row of intake->table that is anything. Errors: NO_MEMORY, and what `fn` returns. */
typedef struct cprof_error *cprof_wait_profile_fn(void *ctx, const struct cprof_wait_shown *shown);
struct cprof_error *cprof_wait_profile_each(struct cprof_wait_intake *intake,
					    cprof_wait_profile_fn *fn, void *ctx);

/* Put every row of intake->table into the session's profile. */
struct cprof_error *cprof_wait_profile_fill(struct cprof_wait_intake *intake);

#endif
