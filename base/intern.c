/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/intern.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define BLOCK_BYTES (64 * 1024)

struct cprof_intern_block {
	struct cprof_intern_block *older;
	size_t used;
	size_t cap;
	char text[];
};

struct cprof_error *cprof_intern_init(struct cprof_intern *table)
{
	*table = (struct cprof_intern){ .secret = cprof_hash_secret() };
	uint32_t id;
	return cprof_intern_bytes(table, "", 0, &id);
}

void cprof_intern_deinit(struct cprof_intern *table)
{
	for (struct cprof_intern_block *block = table->blocks; block;) {
		struct cprof_intern_block *older = block->older;
		free(block);
		block = older;
	}
	free(table->entries);
	cprof_map64_deinit(&table->by_hash);
	*table = (struct cprof_intern){ 0 };
}

/* Room for `n` bytes that never moves. */
static char *store(struct cprof_intern *table, size_t n)
{
	struct cprof_intern_block *block = table->blocks;
	if (!block || block->cap - block->used < n) {
		size_t cap = n > BLOCK_BYTES ? n : BLOCK_BYTES;
		block = cap > SIZE_MAX - sizeof(*block) ? NULL : malloc(sizeof(*block) + cap);
		if (!block)
			return NULL;
		block->older = table->blocks;
		block->used = 0;
		block->cap = cap;
		table->blocks = block;
	}
	char *at = block->text + block->used;
	block->used += n;
	return at;
}

struct cprof_error *cprof_intern_bytes(struct cprof_intern *table, const char *text, size_t n,
				       uint32_t *ret_id)
{
	uint64_t hash = cprof_hash_bytes_from(table->secret, text, n);
	uint64_t *first = cprof_map64_get(&table->by_hash, hash);
	for (uint64_t at = first ? *first : 0; at; at = table->entries[at - 1].next) {
		const struct cprof_intern_entry *entry = &table->entries[at - 1];
		if (entry->len == n && memcmp(entry->text, text, n) == 0) {
			*ret_id = (uint32_t)(at - 1);
			return NULL;
		}
	}

	if (n == SIZE_MAX || !CPROF_ARRAY_ROOM(table->entries, table->len, table->cap, 1))
		return cprof_error_no_memory();
	char *copy = store(table, n + 1);
	first = copy ? cprof_map64_put(&table->by_hash, hash, NULL) : NULL;
	if (!first)
		return cprof_error_no_memory();
	memcpy(copy, text, n);
	copy[n] = 0;
	table->entries[table->len] = (struct cprof_intern_entry){ copy, n, (uint32_t)*first };
	*first = ++table->len;
	*ret_id = table->len - 1;
	return NULL;
}

struct cprof_error *cprof_intern_text(struct cprof_intern *table, const char *text,
				      uint32_t *ret_id)
{
	return cprof_intern_bytes(table, text, strlen(text), ret_id);
}
