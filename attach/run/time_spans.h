/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/time_spans.h - numbers that lasted: what came to each of many keys from when to when, in bounded memory.
 *
 * For modes whose rows are made at the end out of several sums, each of which has its own times (waits, a thread's states, samples):
 * timeline.h has the rows of stacks that are known at once. A key is whatever its user counts by. What comes to a key within one step of time
 * becomes one span; what goes on evenly is one span however long it lasts. Where there are too many spans steps become wider: 1, 2, 5, 10 ...
 *
 * Pure. A span's values are taken to be spread evenly over it.
 */
#ifndef CPROF_ATTACH_RUN_TIME_SPANS_H
#define CPROF_ATTACH_RUN_TIME_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_TIME_SPANS_VALUES 5
#define CPROF_TIME_SPANS_MAX    (1u << 18)

struct cprof_time_span {
	uint32_t key;
	uint64_t from_ns, to_ns; /* CLOCK_MONOTONIC; equal: a moment */
	double values[CPROF_TIME_SPANS_VALUES];
};

struct cprof_time_spans {
	/* Set by who wants some. */
	uint64_t zero_ns; /* where a step begins */
	uint64_t step_ns;

	struct cprof_time_span *spans; /* owned; of each key in about the order of time */
	size_t n, cap;
	struct cprof_map64 by_place; /* key and step -> index of the span within it */
	struct cprof_map64 last;     /* key -> index of the span that was added last */
	size_t full;                 /* as many as make steps wider; 0: CPROF_TIME_SPANS_MAX */
};

void cprof_time_spans_deinit(struct cprof_time_spans *spans);

/* `n` values, at most CPROF_TIME_SPANS_VALUES. Errors: NO_MEMORY. */
struct cprof_error *cprof_time_spans_add(struct cprof_time_spans *spans, uint32_t key,
					 uint64_t from_ns, uint64_t to_ns, const double *values,
					 size_t n);

/* Steps of at least so much from now on. Errors: NO_MEMORY. */
struct cprof_error *cprof_time_spans_widen(struct cprof_time_spans *spans, uint64_t step_ns);

/*
 * Forget what was over by `before_ns`, and name keys anew: `key` gives the new name, UINT32_MAX where nobody wants it; NULL: as they are.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_time_spans_keep(struct cprof_time_spans *spans, uint64_t before_ns,
					  uint32_t (*key)(const void *ctx, uint32_t key),
					  const void *ctx);

/* The part of it that lies in [from_ns, to_ns), which is 1 where all of it does. */
double cprof_time_span_part(const struct cprof_time_span *span, uint64_t from_ns, uint64_t to_ns);

/* The narrowest of 1, 2, 5, 10 ... ms that is at least so much. */
uint64_t cprof_time_spans_round(uint64_t step_ns);

#endif
