/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_profile.h - from the sums of a window to rows of the profile: kinds, labels, sample types.
 *
 * Runs after the window, when looking up names disturbs nobody.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_PROFILE_H
#define CPROF_ATTACH_WAITS_WAIT_PROFILE_H

#include "attach/waits/wait_intake.h"
#include "cprof/builder.h"

/* The sample types of a run, for cprof_session_new(). */
const struct cprof_builder_type *cprof_wait_profile_types(bool releases, bool all, size_t *ret_n,
							  const char **ret_default);

/* Put every row of intake->table into the session's profile. */
struct cprof_error *cprof_wait_profile_fill(struct cprof_wait_intake *intake);

#endif
