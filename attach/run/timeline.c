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
	int64_t values[TYPES_MAX];
};

struct cprof_timeline {
	size_t n_types;
	uint64_t bucket_ns;
	struct row *rows; /* owned */
	uint32_t n_rows, cap_rows;
	struct cprof_map64
		by_hash; /* -> index; unequal rows with one hash go on to the hash of the hash */
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

void cprof_timeline_free(struct cprof_timeline *timeline)
{
	if (!timeline)
		return;
	cprof_map64_deinit(&timeline->by_hash);
	free(timeline->rows);
	free(timeline);
}

static bool same(const struct row *a, const struct row *b)
{
	return a->stack == b->stack && a->labels == b->labels && a->bucket == b->bucket;
}

/* Add to the row of the same stack, labels and bucket, which may be a new one. */
static struct cprof_error *put(struct cprof_timeline *timeline, const struct row *row)
{
	uint64_t hash = cprof_hash_mix((uint64_t)row->stack << 32 | row->labels, row->bucket);
	if (!CPROF_ARRAY_ROOM(timeline->rows, timeline->n_rows, timeline->cap_rows, 1))
		return cprof_error_no_memory();
	for (;; hash = cprof_hash_u64(hash + 1)) {
		bool added;
		uint64_t *place = cprof_map64_put(&timeline->by_hash, hash, &added);
		if (!place)
			return cprof_error_no_memory();
		if (added) {
			*place = timeline->n_rows;
			timeline->rows[timeline->n_rows++] = *row;
			return NULL;
		}
		struct row *known = &timeline->rows[*place];
		if (!same(known, row))
			continue;
		for (size_t i = 0; i < timeline->n_types; i++)
			known->values[i] += row->values[i];
		return NULL;
	}
}

/* Wider buckets: what is in one of them now becomes one row. Rows move to the front only, so none is overwritten before it is read. */
static struct cprof_error *widen(struct cprof_timeline *timeline)
{
	const uint32_t n = timeline->n_rows;
	struct cprof_error *err = NULL;
	cprof_map64_deinit(&timeline->by_hash);
	timeline->by_hash = (struct cprof_map64){ 0 };
	timeline->bucket_ns *= WIDER;
	timeline->n_rows = 0;
	for (uint32_t i = 0; !err && i < n; i++) {
		struct row row = timeline->rows[i];
		row.bucket /= WIDER;
		err = put(timeline, &row);
	}
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
	memcpy(row.values, values, timeline->n_types * sizeof(*values));
	return put(timeline, &row);
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
	int64_t given[TYPES_MAX] = { 0 }, more[TYPES_MAX];
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
			err = cprof_builder_add_stack(builder, row->stack, labels, row->values);
	}
	cprof_map64_deinit(&timeline->by_hash);
	timeline->by_hash = (struct cprof_map64){ 0 };
	timeline->n_rows = 0;
	return err;
}

uint64_t cprof_timeline_bucket_ns(const struct cprof_timeline *timeline)
{
	return timeline->bucket_ns;
}
