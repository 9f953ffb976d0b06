/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/tcmalloc_caches.h"

#include <stddef.h>
#include <stdlib.h>

#include "base/array.h"
#include "cprof/hash.h"

#define USER_SPACE (1ull << 47)
#define PAGE       CPROF_BASELINE_PAGE
#define CACHES_MAX 65536
#define BLOCKS_MAX (16u << 20)
#define CHAIN_MAX  65536      /* blocks in a slot of a central list */
#define BEHIND     32         /* words behind the lists among which the next cache's address is */
#define ASKED_MAX  (1u << 18) /* words that may be looked at as the address of a cache */

struct list { /* ThreadCache::FreeList */
	uint64_t first;
	uint32_t n, low, most, over;
	int32_t bytes, pad;
};
_Static_assert(sizeof(struct list) == 32, "FreeList");

struct cache { /* ThreadCache, as far as it matters */
	struct list lists[CPROF_TCMALLOC_CLASSES];
	uint64_t behind[BEHIND];
};

struct walk {
	struct cprof_baseline_memory *memory;
	const struct cprof_tcmalloc *tcmalloc;
	cprof_tcmalloc_cached_fn *fn;
	void *ctx;
	struct cprof_map64 seen; /* addresses that were looked at */
	uint64_t *todo;          /* owned; addresses of caches */
	size_t n_todo, cap_todo;
	uint64_t blocks;
	unsigned caches, asked;
};

static struct cprof_error *walk_chain(struct walk *walk, uint64_t block, uint64_t last,
				      uint64_t most, unsigned class)
{
	struct cprof_error *err = NULL;
	for (uint64_t i = 0; !err && i < most && walk->blocks < BLOCKS_MAX; i++) {
		if (block < PAGE || block >= USER_SPACE || block % 8)
			break;
		walk->blocks++;
		err = walk->fn(walk->ctx, block, class);
		if (block == last || !cprof_baseline_memory_read(walk->memory, block, &block, 8))
			break;
	}
	return err;
}

/* ---- of threads ---- */

static bool is_cache(const struct walk *walk, const struct cache *cache)
{
	for (unsigned i = 0; i < walk->tcmalloc->n_classes; i++) {
		if (cache->lists[i].bytes != (int32_t)walk->tcmalloc->bytes[i] ||
		    (cache->lists[i].n && !cache->lists[i].first))
			return false;
	}
	return true;
}

/* What lies behind the last cache may be a page that is not there. */
static bool read_cache(const struct walk *walk, uint64_t at, struct cache *cache)
{
	const size_t lists = sizeof(cache->lists);
	int32_t bytes;
	*cache = (struct cache){ 0 };
	/* Most are none: look at the size of the last class first. */
	const uint64_t place = at + (walk->tcmalloc->n_classes - 1) * sizeof(struct list) +
			       offsetof(struct list, bytes);
	if (!cprof_baseline_memory_read(walk->memory, place, &bytes, sizeof(bytes)) ||
	    bytes != (int32_t)walk->tcmalloc->bytes[walk->tcmalloc->n_classes - 1] ||
	    !cprof_baseline_memory_read(walk->memory, at, cache->lists, lists) ||
	    !is_cache(walk, cache))
		return false;
	for (unsigned i = 0; i < BEHIND; i++) {
		if (!cprof_baseline_memory_read(walk->memory, at + lists + 8 * i, &cache->behind[i],
						8))
			break;
	}
	return true;
}

static struct cprof_error *ask(struct walk *walk, uint64_t at)
{
	bool fresh;
	if (at < PAGE || at >= USER_SPACE || at % 8 || walk->asked >= ASKED_MAX)
		return NULL;
	if (!cprof_map64_put(&walk->seen, at, &fresh))
		return cprof_error_no_memory();
	if (!fresh)
		return NULL;
	walk->asked++;
	if (!CPROF_ARRAY_ROOM(walk->todo, walk->n_todo, walk->cap_todo, 1))
		return cprof_error_no_memory();
	walk->todo[walk->n_todo++] = at;
	return NULL;
}

static struct cprof_error *walk_caches(struct walk *walk)
{
	struct cprof_error *err = NULL;
	while (!err && walk->n_todo && walk->caches < CACHES_MAX) {
		struct cache cache;
		if (!read_cache(walk, walk->todo[--walk->n_todo], &cache))
			continue;
		walk->caches++;
		for (unsigned i = 1; !err && i < walk->tcmalloc->n_classes; i++)
			err = walk_chain(walk, cache.lists[i].first, 0, cache.lists[i].n, i);
		for (unsigned i = 0; !err && i < BEHIND; i++)
			err = ask(walk, cache.behind[i]);
	}
	return err;
}

/* Among tcmalloc's variables, without its page map: no cache is named there. */
static struct cprof_error *find_caches(struct walk *walk)
{
	const struct cprof_tcmalloc *tcmalloc = walk->tcmalloc;
	struct cprof_error *err = NULL;
	for (uint64_t at = cprof_baseline_memory_next(walk->memory, tcmalloc->start & ~7ull,
						      tcmalloc->end);
	     !err && at < tcmalloc->end;
	     at = cprof_baseline_memory_next(walk->memory, (at | (PAGE - 1)) + 1, tcmalloc->end)) {
		uint64_t words[PAGE / 8];
		const uint64_t page_end = (at | (PAGE - 1)) + 1;
		const size_t n =
			(size_t)((page_end < tcmalloc->end ? page_end : tcmalloc->end) - at) / 8;
		if (!n || !cprof_baseline_memory_read(walk->memory, at, words, n * 8))
			continue;
		for (size_t i = 0; !err && i < n; i++)
			err = ask(walk, words[i]);
		if (!err)
			err = walk_caches(walk);
	}
	return err;
}

/* ---- of all ---- */

static struct cprof_error *walk_central(struct walk *walk)
{
	struct cprof_tcmalloc_central central;
	struct cprof_error *err = NULL;
	for (unsigned i = 1; !err && walk->tcmalloc->central && i < walk->tcmalloc->n_classes;
	     i++) {
		if (!cprof_baseline_memory_read(walk->memory,
						walk->tcmalloc->central + i * sizeof(central),
						&central, sizeof(central)) ||
		    central.n_slots < 0 || central.n_slots > 64)
			continue;
		for (int32_t k = 0; !err && k < central.n_slots; k++)
			err = walk_chain(walk, central.slots[k][0], central.slots[k][1], CHAIN_MAX,
					 i);
	}
	return err;
}

struct cprof_error *cprof_tcmalloc_caches_each(struct cprof_baseline_memory *memory,
					       const struct cprof_tcmalloc *tcmalloc,
					       cprof_tcmalloc_cached_fn *fn, void *ctx,
					       unsigned *ret_caches)
{
	struct walk walk = { .memory = memory, .tcmalloc = tcmalloc, .fn = fn, .ctx = ctx };
	struct cprof_error *err = find_caches(&walk);
	if (!err)
		err = walk_central(&walk);
	*ret_caches = walk.caches;
	cprof_map64_deinit(&walk.seen);
	free(walk.todo);
	return err;
}
