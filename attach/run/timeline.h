/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/timeline.h - when samples were: rows of stack, labels and a bucket of time, until the profile is made.
 *
 * A pprof file has no time in it. With a timeline each sample gets the number label "time_ms" with the unit milliseconds: how long after the
 * window's start its bucket begins. Equal stacks with equal labels stay one sample within a bucket. How wide buckets are in the file is decided
 * at the end (timeline_fit.h); until then they are as narrow as memory allows: 1 ms, ten times as wide whenever there are too many rows. So memory
 * does not grow with how long it runs.
 *
 * A session that was given a run with `timeline` has one: modes use cprof_session_add_at() and cprof_session_add_span() (session.h), which are
 * plain additions where there is none.
 */
#ifndef CPROF_ATTACH_RUN_TIMELINE_H
#define CPROF_ATTACH_RUN_TIMELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/builder.h"
#include "cprof/error.h"

#define CPROF_TIMELINE_KEY  "time_ms"
#define CPROF_TIMELINE_UNIT "milliseconds"

#define CPROF_TIMELINE_ROWS_MAX  (1u << 18)
#define CPROF_TIMELINE_NS_PER_MS (UINT64_C(1000000))

struct cprof_timeline;

/* For rows of `n_types` values, at most 8. `bucket_ns` is as wide as they begin, a multiple of 1 ms; 0: 1 ms. Errors: NO_MEMORY. */
struct cprof_error *cprof_timeline_new(size_t n_types, uint64_t bucket_ns,
				       struct cprof_timeline **ret_timeline);
void cprof_timeline_free(struct cprof_timeline *timeline);

/* Add values to the bucket that is `at_ns` after the window's start. Stack and labels are numbers of a builder. Errors: NO_MEMORY. */
struct cprof_error *cprof_timeline_add(struct cprof_timeline *timeline, uint32_t stack,
				       uint32_t labels, uint64_t at_ns, const int64_t *values);

/*
 * Spread values evenly over the buckets of [from_ns, to_ns): the parts add up to them exactly. An empty span is one point of time. A span takes as
 * many rows as it has buckets, up to 1,000; a longer one is spread in as many even steps. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_timeline_add_span(struct cprof_timeline *timeline, uint32_t stack,
					    uint32_t labels, uint64_t from_ns, uint64_t to_ns,
					    const int64_t *values);

/*
 * Ten times as wide as often as buckets of at most `most_ns` come of it. What is made of the rows then is what would have been made without, if all
 * that is wanted of them are buckets of a multiple of that. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_timeline_widen(struct cprof_timeline *timeline, uint64_t most_ns);

/* All rows go into the builder, with the label, and are forgotten here. Errors: those of the builder. */
struct cprof_error *cprof_timeline_flush(struct cprof_timeline *timeline,
					 struct cprof_builder *builder);

/* How wide the buckets are by now. */
uint64_t cprof_timeline_bucket_ns(const struct cprof_timeline *timeline);

#endif
