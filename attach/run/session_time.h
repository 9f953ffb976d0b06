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
 * How finely a mode that keeps spans (time_spans.h) is to tell when they were: as finely as is asked for, or as the file may at most, but not
 * more finely than least_ns. It is called from time to time: where nobody knows when the window ends steps get wider.
 */
uint64_t cprof_session_time_step(const struct cprof_run *run, uint64_t least_ns);

/* The rows of `timeline` go into the builder, in no narrower buckets than may be wanted. Errors: those of the builder. */
struct cprof_error *cprof_session_time_flush(struct cprof_timeline *timeline,
					     const struct cprof_run *run,
					     struct cprof_builder *builder);

/*
 * `*profile` has the labels of `timeline`, which has been flushed. Where the run does not say how wide, buckets are made as wide as it takes
 * (timeline_fit.h, where small_bytes is from); what came of it is noted in the run's log. The profile may be replaced; it is NULL on errors. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_session_time_settle(const struct cprof_timeline *timeline,
					      const struct cprof_run *run, size_t small_bytes,
					      struct cprof_profile **profile);

#endif
