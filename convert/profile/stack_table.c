/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/stack_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define RECENT_BITS 10

void cprof_stack_table_deinit(struct cprof_stack_table *table)
{
	cprof_map64_deinit(&table->frame_by_hash);
	cprof_map64_deinit(&table->stack_by_hash);
	free(table->frames);
	free(table->stacks);
	free(table->items);
	free(table->scratch);
	free(table->recent);
	*table = (struct cprof_stack_table){ 0 };
}

/* In both maps: unequal things with one hash go on to the hash of the hash. */
static struct cprof_error *add_frame(struct cprof_stack_table *table,
				     const struct cprof_stack_frame *frame, uint32_t *ret)
{
	uint64_t hash = cprof_hash_mix(frame->mapping, frame->addr);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		const uint64_t *known = cprof_map64_get(&table->frame_by_hash, hash);
		if (!known)
			break;
		const struct cprof_stack_frame *there = &table->frames[*known];
		if (there->addr == frame->addr && there->mapping == frame->mapping) {
			*ret = (uint32_t)*known;
			return NULL;
		}
	}
	if (!CPROF_ARRAY_ROOM(table->frames, table->n_frames, table->cap_frames, 1))
		return cprof_error_no_memory();
	uint64_t *number = cprof_map64_put(&table->frame_by_hash, hash, NULL);
	if (!number)
		return cprof_error_no_memory();
	table->frames[table->n_frames] = *frame;
	*number = table->n_frames;
	*ret = table->n_frames++;
	return NULL;
}

static struct cprof_error *append(struct cprof_stack_table *table, uint64_t hash, uint32_t n,
				  uint32_t *ret)
{
	if (!CPROF_ARRAY_ROOM(table->items, table->n_items, table->cap_items, n) ||
	    !CPROF_ARRAY_ROOM(table->stacks, table->n_stacks, table->cap_stacks, 1))
		return cprof_error_no_memory();
	uint64_t *number = cprof_map64_put(&table->stack_by_hash, hash, NULL);
	if (!number)
		return cprof_error_no_memory();
	if (n)
		memcpy(table->items + table->n_items, table->scratch, n * sizeof(*table->items));
	table->stacks[table->n_stacks] = (struct cprof_stack_run){ table->n_items, n };
	table->n_items += n;
	*number = table->n_stacks;
	*ret = table->n_stacks++;
	return NULL;
}

/* The stack in table->scratch. */
static struct cprof_error *add_scratch(struct cprof_stack_table *table, uint32_t n, uint32_t *ret)
{
	uint64_t hash = cprof_stack_hash(table->scratch, n);
	for (;; hash = cprof_hash_u64(hash + 1)) {
		const uint64_t *known = cprof_map64_get(&table->stack_by_hash, hash);
		if (!known)
			return append(table, hash, n, ret);
		const struct cprof_stack_run *run = &table->stacks[*known];
		if (cprof_stack_equal(table->items + run->first, run->n, table->scratch, n)) {
			*ret = (uint32_t)*known;
			return NULL;
		}
	}
}

/* ---- stacks that come again and again ---- */

static uint32_t place_in_recent(const struct cprof_stack_frame *frames, size_t n)
{
	uint64_t hash = n;
	for (size_t i = 0; i < n; i++) {
		hash ^= frames[i].addr ^ (uint64_t)frames[i].mapping << 48;
		hash *= 0x9e3779b97f4a7c15ull;
		hash ^= hash >> 32;
	}
	return (uint32_t)(hash & ((1u << RECENT_BITS) - 1));
}

static bool is_stack(const struct cprof_stack_table *table, uint32_t number,
		     const struct cprof_stack_frame *frames, size_t n)
{
	const struct cprof_stack_run *run = &table->stacks[number];
	if (run->n != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct cprof_stack_frame *frame =
			&table->frames[table->items[run->first + i]];
		if (frame->addr != frames[i].addr || frame->mapping != frames[i].mapping)
			return false;
	}
	return true;
}

struct cprof_error *cprof_stack_table_add(struct cprof_stack_table *table,
					  const struct cprof_stack_frame *frames, size_t n,
					  uint32_t *ret_stack)
{
	if (!table->recent)
		table->recent = calloc((size_t)1 << RECENT_BITS, sizeof(*table->recent));
	if (!table->recent || !CPROF_ARRAY_ROOM(table->scratch, 0, table->cap_scratch, n))
		return cprof_error_no_memory();
	uint32_t *recent = &table->recent[place_in_recent(frames, n)];
	if (*recent && is_stack(table, *recent - 1, frames, n)) {
		*ret_stack = *recent - 1;
		return NULL;
	}
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n; i++)
		err = add_frame(table, &frames[i], &table->scratch[i]);
	if (!err)
		err = add_scratch(table, (uint32_t)n, ret_stack);
	if (!err)
		*recent = *ret_stack + 1;
	return err;
}
