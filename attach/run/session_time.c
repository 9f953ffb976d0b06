/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/session_time.h"

#include <inttypes.h>
#include <stdio.h>

#include "attach/run/time_spans.h"
#include "attach/run/timeline_fit.h"

#define NS_PER_MS   CPROF_TIMELINE_NS_PER_MS
#define LEAST       10 /* buckets, below which nobody is told more than by the sum */
#define LEAST_ASKED 2
#define NO_TIMES    "samples do not say when they were: "

uint64_t cprof_session_time_step(const struct cprof_run *run, uint64_t least_ns)
{
	const uint64_t asked_ns = run->timeline.bucket_ns;
	/* One more step of a window that is not over yet shall not make all of them twice as wide. */
	const uint64_t length_ns = run->ring ? run->ring->length_ns
				   : run->window->length_ns
					   ? run->window->length_ns
					   : cprof_window_elapsed_ns(run->window) / 2;
	const uint64_t step_ns = cprof_time_spans_round(length_ns / CPROF_TIMELINE_BUCKETS_MAX);
	return asked_ns ? asked_ns : step_ns > least_ns ? step_ns : least_ns;
}

/* A comment in the profile in any case; a line for people where they asked, or for -v. */
static struct cprof_error *tell(const struct cprof_run *run, struct cprof_profile *profile,
				const char *text)
{
	if (run->timeline.asked) {
		cprof_run_log_note(run->log, CPROF_NOTE_FACT, "%s", text);
		return NULL;
	}
	cprof_run_log_note(run->log, CPROF_NOTE_DETAIL, "%s", text);
	return cprof_profile_add_comment(profile, text);
}

static struct cprof_error *tell_width(const struct cprof_run *run, struct cprof_profile *profile,
				      uint64_t bucket_ms)
{
	char text[128];
	snprintf(text, sizeof(text),
		 "time: the label %s says when samples were, in buckets of %" PRIu64 " ms",
		 CPROF_TIMELINE_KEY, bucket_ms);
	return tell(run, profile, text);
}

static struct cprof_error *fit(const struct cprof_run *run, uint64_t bucket_ms, size_t small_bytes,
			       struct cprof_profile **profile)
{
	struct cprof_timeline_fitted fitted;
	const uint64_t length_ms = cprof_window_elapsed_ns(run->window) / NS_PER_MS;
	struct cprof_error *err = cprof_timeline_fit(
		profile, bucket_ms, length_ms, run->timeline.asked ? LEAST_ASKED : LEAST,
		run->timeline.any_size ? SIZE_MAX : small_bytes, &fitted);
	if (err)
		return err;
	if (fitted.bucket_ms)
		return tell_width(run, *profile, fitted.bucket_ms);
	if (!(*profile)->n_samples)
		return NULL;
	cprof_run_log_note(run->log, run->timeline.asked ? CPROF_NOTE_PLAIN : CPROF_NOTE_DETAIL,
			   NO_TIMES "%s",
			   fitted.tried ? "the file would be more than twice as large; -timeline "
					  "100ms takes that size, whatever it is"
					: "there would be too few buckets");
	return NULL;
}

struct cprof_error *cprof_session_time_flush(struct cprof_timeline *timeline,
					     const struct cprof_run *run,
					     struct cprof_builder *builder)
{
	const uint64_t length_ms = cprof_window_elapsed_ns(run->window) / NS_PER_MS;
	const uint64_t bucket_ms = cprof_timeline_bucket_ns(timeline) / NS_PER_MS;
	const uint64_t step_ms = cprof_timeline_fit_step(bucket_ms, length_ms);
	struct cprof_error *err = NULL;
	if (!run->timeline.bucket_ns)
		err = cprof_timeline_widen(timeline, step_ms * NS_PER_MS);
	return err ? err : cprof_timeline_flush(timeline, builder);
}

struct cprof_error *cprof_session_time_settle(const struct cprof_timeline *timeline,
					      const struct cprof_run *run, size_t small_bytes,
					      struct cprof_profile **profile)
{
	const uint64_t bucket_ns = cprof_timeline_bucket_ns(timeline);
	if (!run->timeline.bucket_ns)
		return fit(run, bucket_ns / NS_PER_MS, small_bytes, profile);
	if (bucket_ns > run->timeline.bucket_ns)
		cprof_run_log_note(run->log, CPROF_NOTE_WARNING,
				   "-timeline: %" PRIu64 " ms is finer than it can be told here",
				   run->timeline.bucket_ns / NS_PER_MS);
	return tell_width(run, *profile, bucket_ns / NS_PER_MS);
}
