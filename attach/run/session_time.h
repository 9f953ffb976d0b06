/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/session_time.h - the end of a session's timeline: how wide the buckets of the profile become, and what is told of it.
 */
#ifndef CPROF_ATTACH_RUN_SESSION_TIME_H
#define CPROF_ATTACH_RUN_SESSION_TIME_H

#include "attach/run/run.h"
#include "attach/run/timeline.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * `*profile` has the labels of `timeline`, which has been flushed. Where the run does not say how wide, buckets are made as wide as it takes
 * (timeline_fit.h); what came of it is noted in the run's log. The profile may be replaced; it is NULL on errors. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_time_settle(const struct cprof_timeline *timeline,
					      const struct cprof_run *run,
					      struct cprof_profile **profile);

#endif
