/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/timeline.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "cprof/hash.h"

#define TYPES_MAX   8
#define WIDER       10
#define STEPS_MAX   1000
#define NS_PER_MS   CPROF_TIMELINE_NS_PER_MS
#define BUCKET_LAST UINT32_MAX
#define WIDEST_NS   (1000000000 * NS_PER_MS)

struct row {
	uint32_t stack, labels, bucket;
};

struct cprof_timeline {
	size_t n_types;
	uint64_t bucket_ns;
	struct row *rows; /* owned */
	int64_t *values;  /* owned; n_types of each row */
	uint32_t n_rows, cap_rows;
	size_t cap_values;
	/*
	 * Samples come in the order of time: whoever has the newest row of each stack with its labels needs no other. So it is, until one comes of
	 * an earlier bucket than the newest; from then on all rows are looked for.
	 */
	bool unordered;
	struct cprof_map64 newest; /* stack and labels -> index */
	struct cprof_map64
		by_hash; /* where unordered: -> index; unequal rows with one hash go on to the hash of the hash */
};

struct cprof_error *cprof_timeline_new(size_t n_types, uint64_t bucket_ns,
				       struct cprof_timeline **ret_timeline)
{
	struct cprof_timeline *timeline = calloc(1, sizeof(*timeline));
	if (!timeline || n_types > TYPES_MAX) {
		free(timeline);
		return cprof_error_no_memory();
	}
	timeline->n_types = n_types;
	timeline->bucket_ns = bucket_ns < NS_PER_MS ? NS_PER_MS : bucket_ns - bucket_ns % NS_PER_MS;
	*ret_timeline = timeline;
	return NULL;
}

/* Which rows there are. */
static void forget(struct cprof_timeline *timeline)
{
	cprof_map64_deinit(&timeline->newest);
	cprof_map64_deinit(&timeline->by_hash);
	timeline->unordered = false;
	timeline->n_rows = 0;
}

void cprof_timeline_free(struct cprof_timeline *timeline)
{
	if (!timeline)
		return;
	forget(timeline);
	free(timeline->rows);
	free(timeline->values);
	free(timeline);
}

static bool same(const struct row *a, const struct row *b)
{
	return a->stack == b->stack && a->labels == b->labels && a->bucket == b->bucket;
}

static struct cprof_error *append(struct cprof_timeline *timeline, const struct row *row,
				  const int64_t *values)
{
	const size_t n = timeline->n_types;
	if (!CPROF_ARRAY_ROOM(timeline->rows, timeline->n_rows, timeline->cap_rows, 1) ||
	    !CPROF_ARRAY_ROOM(timeline->values, timeline->n_rows * n, timeline->cap_values, n))
		return cprof_error_no_memory();
	timeline->rows[timeline->n_rows] = *row;
	memmove(&timeline->values[timeline->n_rows++ * n], values, n * sizeof(*values));
	return NULL;
}

static void add(struct cprof_timeline *timeline, uint64_t index, const int64_t *values)
{
	for (size_t i = 0; i < timeline->n_types; i++)
		timeline->values[index * timeline->n_types + i] += values[i];
}

/* Where the index of an equal row is, or will be: *ret_new. NULL: no memory. */
static uint64_t *place_of(struct cprof_timeline *timeline, const struct row *row, bool *ret_new)
{
	uint64_t hash = cprof_hash_mix((uint64_t)row->stack << 32 | row->labels, row->bucket);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		uint64_t *place = cprof_map64_put(&timeline->by_hash, hash, ret_new);
		if (!place || *ret_new || same(&timeline->rows[*place], row))
			return place;
	}
}

static struct cprof_error *put_anywhere(struct cprof_timeline *timeline, const struct row *row,
					const int64_t *values)
{
	bool is_new;
	uint64_t *place = place_of(timeline, row, &is_new);
	if (!place)
		return cprof_error_no_memory();
	if (!is_new) {
		add(timeline, *place, values);
		return NULL;
	}
	*place = timeline->n_rows;
	return append(timeline, row, values);
}

/* From now on rows are looked for among all. */
static struct cprof_error *give_up_order(struct cprof_timeline *timeline)
{
	timeline->unordered = true;
	cprof_map64_deinit(&timeline->newest);
	for (uint32_t i = 0; i < timeline->n_rows; i++) {
		bool is_new;
		uint64_t *place = place_of(timeline, &timeline->rows[i], &is_new);
		if (!place)
			return cprof_error_no_memory();
		*place = i;
	}
	return NULL;
}

/* Add to the row of the same stack, labels and bucket, which may be a new one. */
static struct cprof_error *put(struct cprof_timeline *timeline, const struct row *row,
			       const int64_t *values)
{
	if (timeline->unordered)
		return put_anywhere(timeline, row, values);
	bool is_new;
	uint64_t *newest = cprof_map64_put(&timeline->newest,
					   (uint64_t)row->stack << 32 | row->labels, &is_new);
	if (!newest)
		return cprof_error_no_memory();
	const uint32_t bucket = is_new ? 0 : timeline->rows[*newest].bucket;
	if (!is_new && bucket == row->bucket) {
		add(timeline, *newest, values);
		return NULL;
	}
	if (!is_new && bucket > row->bucket) {
		struct cprof_error *err = give_up_order(timeline);
		return err ? err : put_anywhere(timeline, row, values);
	}
	*newest = timeline->n_rows;
	return append(timeline, row, values);
}

/* Wider buckets: what is in one of them now becomes one row. Rows move to the front only, so none is overwritten before it is read. */
static struct cprof_error *widen(struct cprof_timeline *timeline)
{
	const uint32_t n = timeline->n_rows;
	struct cprof_error *err = NULL;
	forget(timeline);
	timeline->bucket_ns *= WIDER;
	for (uint32_t i = 0; !err && i < n; i++) {
		struct row row = timeline->rows[i];
		row.bucket /= WIDER;
		err = put(timeline, &row, &timeline->values[i * timeline->n_types]);
	}
	return err;
}

struct cprof_error *cprof_timeline_widen(struct cprof_timeline *timeline, uint64_t most_ns)
{
	struct cprof_error *err = NULL;
	while (!err && timeline->bucket_ns <= most_ns / WIDER)
		err = widen(timeline);
	return err;
}

struct cprof_error *cprof_timeline_add(struct cprof_timeline *timeline, uint32_t stack,
				       uint32_t labels, uint64_t at_ns, const int64_t *values)
{
	struct cprof_error *err = NULL;
	/* Once a bucket is longer than a window can be there is a row for each stack, as without time. */
	while (!err && timeline->n_rows >= CPROF_TIMELINE_ROWS_MAX &&
	       timeline->bucket_ns < WIDEST_NS)
		err = widen(timeline);
	while (!err && at_ns / timeline->bucket_ns >= BUCKET_LAST)
		err = widen(timeline);
	if (err)
		return err;
	struct row row = { .stack = stack,
			   .labels = labels,
			   .bucket = (uint32_t)(at_ns / timeline->bucket_ns) };
	return put(timeline, &row, values);
}

__extension__ typedef __int128 wide;

/* The part of a value that lies before `done` of `length`, rounded down. */
static int64_t part(int64_t value, uint64_t done, uint64_t length)
{
	return (int64_t)((wide)value * (wide)done / (wide)length);
}

struct cprof_error *cprof_timeline_add_span(struct cprof_timeline *timeline, uint32_t stack,
					    uint32_t labels, uint64_t from_ns, uint64_t to_ns,
					    const int64_t *values)
{
	const uint64_t length = to_ns > from_ns ? to_ns - from_ns : 0;
	int64_t given[TYPES_MAX] = { 0 }, more[TYPES_MAX] = { 0 };
	struct cprof_error *err = NULL;
	for (uint64_t at = from_ns; !err && length && at < to_ns;) {
		uint64_t step = timeline->bucket_ns - at % timeline->bucket_ns;
		step = step < length / STEPS_MAX ? length / STEPS_MAX : step;
		const uint64_t end = to_ns - at > step ? at + step : to_ns;
		for (size_t i = 0; i < timeline->n_types; i++) {
			const int64_t until = part(values[i], end - from_ns, length);
			more[i] = until - given[i];
			given[i] = until;
		}
		err = cprof_timeline_add(timeline, stack, labels, at, more);
		at = end;
	}
	return length ? err : cprof_timeline_add(timeline, stack, labels, from_ns, values);
}

struct cprof_error *cprof_timeline_flush(struct cprof_timeline *timeline,
					 struct cprof_builder *builder)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < timeline->n_rows; i++) {
		const struct row *row = &timeline->rows[i];
		const struct cprof_builder_label time = {
			.key = CPROF_TIMELINE_KEY,
			.num = (int64_t)(row->bucket * (timeline->bucket_ns / NS_PER_MS)),
			.unit = CPROF_TIMELINE_UNIT,
		};
		uint32_t labels;
		err = cprof_builder_labels_and(builder, row->labels, &time, &labels);
		if (!err)
			err = cprof_builder_add_stack(builder, row->stack, labels,
						      &timeline->values[i * timeline->n_types]);
	}
	forget(timeline);
	return err;
}

uint64_t cprof_timeline_bucket_ns(const struct cprof_timeline *timeline)
{
	return timeline->bucket_ns;
}
