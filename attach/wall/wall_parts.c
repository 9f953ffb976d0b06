/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_parts.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/array.h"

void cprof_wall_parts_deinit(struct cprof_wall_parts *parts)
{
	free(parts->parts);
	cprof_map64_deinit(&parts->by_hash);
	*parts = (struct cprof_wall_parts){ 0 };
}

static uint64_t hash_of(const struct cprof_wall_part *part)
{
	uint64_t hash = cprof_hash_mix((uint64_t)part->tid, (uint64_t)part->what);
	hash = cprof_hash_mix(hash, part->request);
	return cprof_hash_mix(hash, (uint64_t)part->stack << 32 | part->reason);
}

static bool is_like(const struct cprof_wall_part *a, const struct cprof_wall_part *b)
{
	return a->tid == b->tid && a->what == b->what && a->stack == b->stack &&
	       a->reason == b->reason && a->request == b->request;
}

struct cprof_error *cprof_wall_parts_add(struct cprof_wall_parts *parts,
					 const struct cprof_wall_part *part, size_t *ret_at)
{
	uint64_t hash = hash_of(part);
	const uint64_t *index;
	for (; (index = cprof_map64_get(&parts->by_hash, hash)); hash++) {
		struct cprof_wall_part *there = &parts->parts[*index];
		if (!is_like(there, part))
			continue;
		there->weight += part->weight;
		there->count += part->count;
		*ret_at = (size_t)*index;
		return NULL;
	}
	if (parts->n >= CPROF_WALL_PARTS_MAX) {
		parts->dropped++;
		*ret_at = SIZE_MAX;
		return NULL;
	}
	if (!CPROF_ARRAY_ROOM(parts->parts, parts->n, parts->cap, 1))
		return cprof_error_no_memory();
	uint64_t *slot = cprof_map64_put(&parts->by_hash, hash, NULL);
	if (!slot)
		return cprof_error_no_memory();
	*slot = *ret_at = parts->n;
	parts->parts[parts->n++] = *part;
	return NULL;
}
