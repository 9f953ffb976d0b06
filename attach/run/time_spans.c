/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/time_spans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define NS_PER_MS 1000000ull
#define WIDEST_NS (UINT64_MAX / 16)
#define ALIKE     1e-6 /* rates that differ by less are the same */

void cprof_time_spans_deinit(struct cprof_time_spans *spans)
{
	free(spans->spans);
	cprof_map64_deinit(&spans->by_place);
	cprof_map64_deinit(&spans->last);
	spans->spans = NULL;
	spans->n = spans->cap = 0;
}

uint64_t cprof_time_spans_round(uint64_t step_ns)
{
	static const uint64_t factors[] = { 1, 2, 5 };
	uint64_t ten = NS_PER_MS;
	for (unsigned i = 0; ten < WIDEST_NS; i++) {
		if (ten * factors[i % 3] >= step_ns)
			return ten * factors[i % 3];
		ten *= i % 3 == 2 ? 10 : 1;
	}
	return ten;
}

static uint64_t step_of(const struct cprof_time_spans *spans, uint64_t ns)
{
	return ns > spans->zero_ns ? (ns - spans->zero_ns) / spans->step_ns : 0;
}

/* Of the last moment of it. */
static uint64_t last_step(const struct cprof_time_spans *spans, const struct cprof_time_span *span)
{
	return step_of(spans, span->to_ns > span->from_ns ? span->to_ns - 1 : span->from_ns);
}

static bool is_in_one(const struct cprof_time_spans *spans, const struct cprof_time_span *span)
{
	return step_of(spans, span->from_ns) == last_step(spans, span);
}

/* ---- one more ---- */

static void add_values(struct cprof_time_span *to, const struct cprof_time_span *more)
{
	for (size_t i = 0; i < CPROF_TIME_SPANS_VALUES; i++)
		to->values[i] += more->values[i];
	if (more->from_ns < to->from_ns)
		to->from_ns = more->from_ns;
	if (more->to_ns > to->to_ns)
		to->to_ns = more->to_ns;
}

/* It begins where the other ends, and comes to as much a nanosecond. */
static bool goes_on(const struct cprof_time_span *last, const struct cprof_time_span *span)
{
	if (last->to_ns != span->from_ns || last->from_ns >= last->to_ns ||
	    span->from_ns >= span->to_ns)
		return false;
	const double a = (double)(last->to_ns - last->from_ns),
		     b = (double)(span->to_ns - span->from_ns);
	for (size_t i = 0; i < CPROF_TIME_SPANS_VALUES; i++) {
		const double x = last->values[i] / a, y = span->values[i] / b;
		if (fabs(x - y) > ALIKE * (fabs(x) + fabs(y)))
			return false;
	}
	return true;
}

static struct cprof_error *append(struct cprof_time_spans *spans,
				  const struct cprof_time_span *span)
{
	if (!CPROF_ARRAY_ROOM(spans->spans, spans->n, spans->cap, 1))
		return cprof_error_no_memory();
	uint64_t *last = cprof_map64_put(&spans->last, span->key, NULL);
	if (!last)
		return cprof_error_no_memory();
	*last = spans->n;
	spans->spans[spans->n++] = *span;
	return NULL;
}

/* Into the span that is of the same key and step. Hashes of unequal places that are the same go on to the next number. */
static struct cprof_error *put_in_step(struct cprof_time_spans *spans,
				       const struct cprof_time_span *span)
{
	const uint64_t step = step_of(spans, span->from_ns);
	for (uint64_t hash = cprof_hash_mix(span->key, step);; hash++) {
		bool is_new;
		uint64_t *place = cprof_map64_put(&spans->by_place, hash, &is_new);
		if (!place)
			return cprof_error_no_memory();
		struct cprof_time_span *there = is_new ? NULL : &spans->spans[*place];
		if (there && (there->key != span->key || step_of(spans, there->from_ns) != step))
			continue;
		if (there && is_in_one(spans, there)) {
			add_values(there, span);
			return NULL;
		}
		*place = spans->n; /* the one that was there has gone on beyond the step */
		return append(spans, span);
	}
}

static void scale(struct cprof_time_span *span, uint64_t from_ns, uint64_t to_ns)
{
	const double part = cprof_time_span_part(span, from_ns, to_ns);
	for (size_t i = 0; i < CPROF_TIME_SPANS_VALUES; i++)
		span->values[i] *= part;
	span->from_ns = from_ns;
	span->to_ns = to_ns;
}

/* One that is longer than a step: where it begins and ends it shares the step with others, in between it is alone. */
static struct cprof_error *put_long(struct cprof_time_spans *spans,
				    const struct cprof_time_span *span)
{
	const uint64_t step_ns = spans->step_ns, zero_ns = spans->zero_ns;
	const uint64_t head_ns = zero_ns + (step_of(spans, span->from_ns) + 1) * step_ns;
	const uint64_t tail_ns = zero_ns + last_step(spans, span) * step_ns;
	struct cprof_time_span head = *span, middle = *span, tail = *span;
	scale(&head, span->from_ns, head_ns);
	scale(&middle, head_ns, tail_ns);
	scale(&tail, tail_ns, span->to_ns);
	struct cprof_error *err = put_in_step(spans, &head);
	if (!err && tail_ns > head_ns)
		err = append(spans, &middle);
	return err ? err : put_in_step(spans, &tail);
}

static struct cprof_error *put(struct cprof_time_spans *spans, const struct cprof_time_span *span)
{
	const uint64_t *last = cprof_map64_get(&spans->last, span->key);
	if (last && *last < spans->n && goes_on(&spans->spans[*last], span)) {
		add_values(&spans->spans[*last], span);
		return NULL;
	}
	return is_in_one(spans, span) ? put_in_step(spans, span) : put_long(spans, span);
}

struct cprof_error *cprof_time_spans_add(struct cprof_time_spans *spans, uint32_t key,
					 uint64_t from_ns, uint64_t to_ns, const double *values,
					 size_t n)
{
	struct cprof_time_span span = { .key = key,
					.from_ns = from_ns,
					.to_ns = to_ns > from_ns ? to_ns : from_ns };
	const size_t full = spans->full ? spans->full : CPROF_TIME_SPANS_MAX;
	struct cprof_error *err = NULL;
	memcpy(span.values, values, n * sizeof(*values));
	/* Once a step is longer than anything lasts there is one for each key. */
	while (!err && spans->n >= full && spans->step_ns < WIDEST_NS / 4)
		err = cprof_time_spans_widen(spans, 2 * spans->step_ns);
	return err ? err : put(spans, &span);
}

/* ---- all anew ---- */

struct cprof_error *cprof_time_spans_keep(struct cprof_time_spans *spans, uint64_t before_ns,
					  uint32_t (*key)(const void *ctx, uint32_t key),
					  const void *ctx)
{
	struct cprof_time_spans kept = {
		.zero_ns = spans->zero_ns,
		.step_ns = spans->step_ns,
		.full = spans->full,
	};
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < spans->n; i++) {
		struct cprof_time_span span = spans->spans[i];
		if (span.to_ns < before_ns)
			continue;
		span.key = key ? key(ctx, span.key) : span.key;
		if (span.key != UINT32_MAX)
			err = put(&kept, &span);
	}
	if (err) {
		cprof_time_spans_deinit(&kept);
		return err;
	}
	cprof_time_spans_deinit(spans);
	*spans = kept;
	return NULL;
}

struct cprof_error *cprof_time_spans_widen(struct cprof_time_spans *spans, uint64_t step_ns)
{
	const uint64_t wider_ns = cprof_time_spans_round(step_ns), before_ns = spans->step_ns;
	if (step_ns <= before_ns) /* which need not be one of those numbers */
		return NULL;
	spans->step_ns = wider_ns;
	struct cprof_error *err = cprof_time_spans_keep(spans, 0, NULL, NULL);
	if (err)
		spans->step_ns = before_ns;
	return err;
}

double cprof_time_span_part(const struct cprof_time_span *span, uint64_t from_ns, uint64_t to_ns)
{
	if (span->from_ns >= span->to_ns)
		return span->from_ns >= from_ns && span->from_ns < to_ns ? 1 : 0;
	const uint64_t from = span->from_ns > from_ns ? span->from_ns : from_ns;
	const uint64_t to = span->to_ns < to_ns ? span->to_ns : to_ns;
	if (from == span->from_ns && to == span->to_ns)
		return 1;
	return to > from ? (double)(to - from) / (double)(span->to_ns - span->from_ns) : 0;
}
