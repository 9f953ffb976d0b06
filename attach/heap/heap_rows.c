/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "convert/profile/heap_age.h"

enum { ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE, HISTORY_SPACE, HISTORY_SAMPLES };

const struct cprof_builder_type cprof_heap_types[CPROF_HEAP_TYPES] = {
	[ALLOC_OBJECTS] = { "alloc_objects", "count" },
	[ALLOC_SPACE] = { "alloc_space", "bytes" },
	[INUSE_OBJECTS] = { "inuse_objects", "count" },
	[INUSE_SPACE] = { "inuse_space", "bytes" },
	[HISTORY_SPACE] = { CPROF_HEAP_HISTORY_SPACE, "bytes" },
	[HISTORY_SAMPLES] = { CPROF_HEAP_HISTORY_SAMPLES, "count" },
};

/* ---- labels ---- */

static struct cprof_builder_label size_of(uint64_t size)
{
	return (struct cprof_builder_label){ .key = "bytes",
					     .num = (int64_t)size,
					     .unit = "bytes" };
}

static struct cprof_builder_label age_of(unsigned age)
{
	return (struct cprof_builder_label){ .key = CPROF_HEAP_AGE,
					     .str = cprof_heap_ages[age].text };
}

#define LABELS_MAX 2 /* besides the process's */

static struct cprof_error *make_labels(const struct cprof_heap_rows *rows,
				       const struct cprof_builder_label *own, size_t n,
				       uint32_t *ret_labels)
{
	struct cprof_builder_label labels[LABELS_MAX + 1];
	memcpy(labels, own, n * sizeof(*own));
	labels[n] = (struct cprof_builder_label){ .key = "pid", .num = rows->process->target->pid };
	return cprof_session_labels(rows->session, rows->process, 0, labels, n + rows->label_pid,
				    ret_labels);
}

struct cprof_error *cprof_heap_rows_size_label(const struct cprof_heap_rows *rows, uint64_t size,
					       uint32_t *ret_labels)
{
	const struct cprof_builder_label label = size_of(size);
	return make_labels(rows, &label, 1, ret_labels);
}

static struct cprof_error *add(const struct cprof_heap_rows *rows, uint32_t stack,
			       const struct cprof_builder_label *own, size_t n,
			       const int64_t values[CPROF_HEAP_TYPES])
{
	uint32_t labels;
	struct cprof_error *err = make_labels(rows, own, n, &labels);
	return err ? err : cprof_session_add_stack(rows->session, stack, labels, values);
}

/* ---- what is in use, by age ---- */

/* Of the blocks of one row: those of one age, or (NO_AGE) of before the moment that all is told since. */
#define NO_AGE CPROF_HEAP_AGES

struct part {
	uint32_t row;
	unsigned age;
	struct cprof_heap_totals totals;
};

struct parts {
	struct part *at;
	uint32_t n, cap;
	struct cprof_map64 places; /* row and age -> number + 1 */
};

static void parts_deinit(struct parts *parts)
{
	free(parts->at);
	cprof_map64_deinit(&parts->places);
}

static struct cprof_error *part_count(struct parts *parts, const struct cprof_heap_block *block,
				      unsigned age)
{
	uint64_t *place = cprof_map64_put(&parts->places, (uint64_t)block->row << 8 | age, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!parts->at || !*place) {
		if (!CPROF_ARRAY_ROOM(parts->at, parts->n, parts->cap, 1))
			return cprof_error_no_memory();
		parts->at[parts->n] = (struct part){ .row = block->row, .age = age };
		*place = ++parts->n;
	}
	cprof_heap_totals_count(&parts->at[*place - 1].totals, block->size, block->period);
	return NULL;
}

static struct cprof_error *parts_count(const struct cprof_heap_rows *rows, struct parts *parts)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < rows->profile->n_blocks; i++) {
		const struct cprof_heap_block *block = &rows->profile->blocks[i];
		err = part_count(
			parts, block,
			cprof_heap_since_older(rows->since, block)
				? NO_AGE
				: cprof_heap_age_of(cprof_heap_block_age(block, rows->at_ns)));
	}
	return err;
}

/* Those in use that have no age of their own. */
static struct cprof_heap_totals ageless(const struct parts *parts, uint32_t row)
{
	const uint64_t *place = cprof_map64_get(&parts->places, (uint64_t)row << 8 | NO_AGE);
	if (!place || !parts->at)
		return (struct cprof_heap_totals){ 0 };
	return parts->at[*place - 1].totals;
}

static struct cprof_error *add_ages(const struct cprof_heap_rows *rows, const struct parts *parts)
{
	const struct cprof_heap_totals *all = &rows->profile->inuse;
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < parts->n; i++) {
		const struct part *part = &parts->at[i];
		const struct cprof_heap_row *row = &rows->profile->rows[part->row];
		if (part->age == NO_AGE)
			continue;
		const struct cprof_builder_label labels[] = { size_of(row->size),
							      age_of(part->age) };
		const int64_t values[CPROF_HEAP_TYPES] = {
			[INUSE_OBJECTS] = cprof_heap_value(part->totals.objects, all->objects),
			[INUSE_SPACE] = cprof_heap_value(part->totals.bytes, all->bytes),
		};
		err = add(rows, row->stack, labels, 2, values);
	}
	return err;
}

/* ---- all of it ---- */

/* Each side is rounded by itself, so that what is equal on both is nothing in the end. */
static void subtract(struct cprof_heap_totals a, const struct cprof_heap_totals *all_a,
		     struct cprof_heap_totals b, const struct cprof_heap_totals *all_b,
		     int64_t values[2])
{
	values[0] = cprof_heap_value(a.objects, all_a->objects) -
		    cprof_heap_value(b.objects, all_b->objects);
	values[1] =
		cprof_heap_value(a.bytes, all_a->bytes) - cprof_heap_value(b.bytes, all_b->bytes);
}

static struct cprof_error *add_row(const struct cprof_heap_rows *rows, const struct parts *parts,
				   uint32_t number)
{
	const struct cprof_heap_row *row = &rows->profile->rows[number];
	const struct cprof_heap_since_row then = cprof_heap_since_row(rows->since, number);
	const struct cprof_heap_since_row *all_then = &rows->since->all;
	const struct cprof_builder_label label = size_of(row->size);
	int64_t values[CPROF_HEAP_TYPES] = { 0 };
	subtract(row->alloc, &rows->profile->alloc, then.alloc, &all_then->alloc,
		 &values[ALLOC_OBJECTS]);
	subtract(rows->ages ? ageless(parts, number) : row->inuse, &rows->profile->inuse,
		 then.inuse, &all_then->inuse, &values[INUSE_OBJECTS]);
	if (rows->since->marked && !values[ALLOC_OBJECTS] && !values[INUSE_OBJECTS] &&
	    !values[ALLOC_SPACE] && !values[INUSE_SPACE])
		return NULL;
	return add(rows, row->stack, &label, 1, values);
}

static struct cprof_error *add_moment(const struct cprof_heap_rows *rows,
				      const struct cprof_heap_moment *moment)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < moment->n; i++) {
		const struct cprof_heap_share *share = &moment->shares[i];
		const struct cprof_builder_label labels[] = {
			age_of(share->age),
			{ .key = CPROF_HEAP_MOMENT,
			  .num = (int64_t)(moment->at_ns / 1000000),
			  .unit = CPROF_HEAP_MOMENT_UNIT },
		};
		const int64_t values[CPROF_HEAP_TYPES] = {
			[HISTORY_SPACE] = cprof_heap_value(share->bytes, share->bytes),
			[HISTORY_SAMPLES] = (int64_t)share->samples,
		};
		err = add(rows, share->stack, labels, 2, values);
	}
	return err;
}

struct cprof_error *cprof_heap_rows_add(const struct cprof_heap_rows *rows)
{
	struct parts parts = { 0 };
	struct cprof_error *err = rows->ages ? parts_count(rows, &parts) : NULL;
	for (uint32_t i = 0; !err && i < rows->profile->n_rows; i++)
		err = add_row(rows, &parts, i);
	if (!err)
		err = add_ages(rows, &parts);
	parts_deinit(&parts);
	for (size_t i = 0; !err && i < rows->history->n; i++)
		err = add_moment(rows, &rows->history->moments[i]);
	return err;
}
