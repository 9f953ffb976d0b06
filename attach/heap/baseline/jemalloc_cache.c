/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/jemalloc_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/search.h"
#include "cprof/hash.h"

#define USER_SPACE (1ull << 47)
#define PAGE       CPROF_BASELINE_PAGE
#define BLOCK      ((uint64_t)2 << 20) /* metadata blocks are multiples of it, and lie at such */
#define BLOCK_MAX  ((uint64_t)1 << 34)
#define BLOCKS_MAX 65536
#define BACK_MAX   1024 /* units of BLOCK that a head may be in front of a descriptor */
#define CACHES_MAX 65536
#define ASKED_MAX  (4u << 20)  /* words that may be looked at as the address of a cache */
#define KEPT_MAX   (16u << 20) /* pointers in all caches */
#define BINS_MAX   73
#define BIN_BYTES  24
#define OLD_FIRST  200 /* pointers of the smallest class in a cache until 5.2 */

void cprof_jemalloc_metadata_deinit(struct cprof_jemalloc_metadata *metadata)
{
	free(metadata->all);
	*metadata = (struct cprof_jemalloc_metadata){ 0 };
}

static bool holds(const struct cprof_jemalloc_metadata *metadata, uint64_t addr)
{
	const size_t at = CPROF_SEARCH(i, metadata->n, metadata->all[i].end <= addr);
	return at < metadata->n && metadata->all[at].start <= addr;
}

/* base_block_t: its size, the next one, and a descriptor of what is left of it. */
struct head {
	uint64_t size, next, bits, addr, left;
};

static bool read_head(struct cprof_baseline_memory *memory, uint64_t at, struct head *head)
{
	return at >= PAGE && at < USER_SPACE && at % BLOCK == 0 &&
	       cprof_baseline_memory_read(memory, at, head, sizeof(*head)) && head->size &&
	       head->size % BLOCK == 0 && head->size <= BLOCK_MAX && head->next < USER_SPACE &&
	       head->next % BLOCK == 0 && head->addr > at && head->addr <= at + head->size &&
	       head->left <= at + head->size - head->addr;
}

static struct cprof_error *add_block(struct cprof_jemalloc_metadata *metadata, uint64_t start,
				     uint64_t end)
{
	const size_t at = CPROF_SEARCH(i, metadata->n, metadata->all[i].start < start);
	if (at < metadata->n && metadata->all[at].start < end)
		end = metadata->all[at].start;
	if (!CPROF_ARRAY_ROOM(metadata->all, metadata->n, metadata->cap, 1))
		return cprof_error_no_memory();
	memmove(metadata->all + at + 1, metadata->all + at,
		(metadata->n - at) * sizeof(*metadata->all));
	metadata->all[at] = (struct cprof_jemalloc_block){ start, end };
	metadata->n++;
	return NULL;
}

struct cprof_error *cprof_jemalloc_metadata_note(struct cprof_jemalloc_metadata *metadata,
						 struct cprof_baseline_memory *memory,
						 uint64_t addr)
{
	struct cprof_error *err = NULL;
	struct head head;
	uint64_t at = addr & ~(BLOCK - 1);
	if (at == metadata->last || holds(metadata, addr))
		return NULL;
	metadata->last = at;
	for (unsigned i = 0; i < BACK_MAX && at >= BLOCK; i++, at -= BLOCK) {
		if (!cprof_baseline_memory_present(memory, at))
			continue;
		if (read_head(memory, at, &head) && head.size > addr - at)
			break;
	}
	while (!err && metadata->n < BLOCKS_MAX && !holds(metadata, at) &&
	       read_head(memory, at, &head)) {
		err = add_block(metadata, at, at + head.size);
		at = head.next;
	}
	return err;
}

/* ---- caches of 5.3 ---- */

/* tcache_slow_t as far as it matters; the address of its bins is that of an array inside tcache_t. */
struct slow {
	uint64_t next, prev;                 /* the arena's ring of caches */
	uint64_t bins_next, bins_prev, bins; /* cache_bin_array_descriptor_t */
};

struct search {
	struct cprof_baseline_memory *memory;
	const struct cprof_jemalloc_form *form;
	const struct cprof_jemalloc_cache_fns *fns;
	void *ctx;
	struct cprof_map64 seen; /* addresses that were looked at */
	unsigned asked, caches, kept;
};

static bool can_be(uint64_t addr)
{
	return addr >= PAGE && addr < USER_SPACE && addr % 8 == 0;
}

static bool read_slow(struct search *search, uint64_t at, struct slow *slow)
{
	uint64_t back;
	return cprof_baseline_memory_read(search->memory, at, slow, sizeof(*slow)) &&
	       can_be(slow->bins_next) && can_be(slow->bins_prev) && can_be(slow->bins) &&
	       can_be(slow->next) && can_be(slow->prev) &&
	       cprof_baseline_memory_read(search->memory, slow->bins - 8, &back, 8) && back == at;
}

/* cache_bin_t: the top of the stack, a count of requests, and the low halves of three places in it. */
struct bin {
	uint64_t top, requests;
	uint16_t low_water, full, empty, pad;
};

static void read_bin(struct search *search, const struct bin *bin, unsigned class)
{
	static const size_t most = 8192; /* pointers in 64 KiB, which the halves can tell */
	const size_t n = (uint16_t)(bin->empty - (uint16_t)bin->top) / 8;
	uint64_t pointers[256];
	for (size_t i = 0; i < n && n < most && search->kept < KEPT_MAX; i += 256) {
		const size_t now = n - i < 256 ? n - i : 256;
		search->kept += (unsigned)now;
		if (!cprof_baseline_memory_read(search->memory, bin->top + 8 * i, pointers,
						now * 8))
			return;
		for (size_t k = 0; k < now; k++)
			search->fns->cached(search->ctx, pointers[k], class);
	}
}

static void read_cache(struct search *search, const struct slow *slow)
{
	struct bin bins[BINS_MAX];
	_Static_assert(sizeof(bins[0]) == BIN_BYTES, "include/jemalloc/internal/cache_bin.h");
	if (!cprof_baseline_memory_read(search->memory, slow->bins, bins, sizeof(bins)))
		return;
	uint64_t lowest = UINT64_MAX;
	for (unsigned i = 0; i < BINS_MAX; i++) {
		const struct bin *bin = &bins[i];
		/* Behind the last class that is cached. */
		if (!can_be(bin->top) || (uint16_t)(bin->empty - bin->full) % 8)
			break;
		read_bin(search, bin, i);
		const uint64_t base = bin->top - (uint16_t)((uint16_t)bin->top - bin->full);
		lowest = base < lowest ? base : lowest;
	}
	/* The stacks are one block, which begins with a word that is no pointer. */
	if (lowest != UINT64_MAX)
		search->fns->own(search->ctx, lowest - 8);
}

/* ---- until 5.2 ---- */

/* cache_bin_array_descriptor_t: the ring of an arena's, and the bins of one thread, around it in tcache_t. */
struct ring {
	uint64_t next, prev, small, large;
};

/* cache_bin_t: how many of the pointers below `top` are in it. */
struct old_bin {
	int32_t low_water, n;
	uint64_t requests, top;
};

static bool read_ring(struct search *search, uint64_t at, struct ring *ring)
{
	static const uint64_t small = CPROF_JEMALLOC_BINS * sizeof(struct old_bin), near = 256;
	return cprof_baseline_memory_read(search->memory, at, ring, sizeof(*ring)) &&
	       can_be(ring->next) && can_be(ring->prev) && can_be(ring->small) &&
	       can_be(ring->large) && ring->small < at && at - ring->small >= small &&
	       at - ring->small < small + near && ring->large > at && ring->large - at < near;
}

static void read_old_bin(struct search *search, const struct old_bin *bin, unsigned class)
{
	uint64_t pointers[256];
	for (uint64_t left = (uint64_t)bin->n; left && search->kept < KEPT_MAX;) {
		const size_t now = left < 256 ? (size_t)left : 256;
		search->kept += (unsigned)now;
		if (!cprof_baseline_memory_read(search->memory, bin->top - 8 * left, pointers,
						now * 8))
			return;
		for (size_t k = 0; k < now; k++)
			search->fns->cached(search->ctx, pointers[k], class);
		left -= now;
	}
}

static void read_old_cache(struct search *search, const struct ring *ring)
{
	static const int32_t most = 65536; /* pointers in a bin; jemalloc has some hundreds */
	struct old_bin bins[BINS_MAX];
	const size_t small = CPROF_JEMALLOC_BINS, large = BINS_MAX - small;
	_Static_assert(sizeof(bins[0]) == BIN_BYTES, "include/jemalloc/internal/cache_bin.h");
	if (!cprof_baseline_memory_read(search->memory, ring->small, bins,
					small * sizeof(bins[0])) ||
	    !cprof_baseline_memory_read(search->memory, ring->large, bins + small,
					large * sizeof(bins[0])))
		return;
	for (unsigned i = 0; i < BINS_MAX; i++) {
		/* Behind the last class that is cached. */
		if (!can_be(bins[i].top) || bins[i].n < 0 || bins[i].n > most)
			break;
		read_old_bin(search, &bins[i], i);
	}
	/* The stacks are one block; the first one always has room for so many, below what its bin names. */
	if (can_be(bins[0].top - 8ull * OLD_FIRST))
		search->fns->own(search->ctx, bins[0].top - 8ull * OLD_FIRST);
}

/* ---- all ---- */

/* The cache at `at`, and where the next one is; false: there is none. */
static bool take_cache(struct search *search, uint64_t at, uint64_t *ret_next)
{
	struct slow slow;
	struct ring ring;
	if (search->form->is_5_3) {
		if (!read_slow(search, at, &slow))
			return false;
		read_cache(search, &slow);
		*ret_next = slow.next;
		return true;
	}
	if (!read_ring(search, at, &ring))
		return false;
	read_old_cache(search, &ring);
	*ret_next = ring.next;
	return true;
}

static struct cprof_error *follow_ring(struct search *search, uint64_t at)
{
	while (search->caches < CACHES_MAX) {
		bool fresh;
		if (!cprof_map64_put(&search->seen, at, &fresh))
			return cprof_error_no_memory();
		if (!fresh || !take_cache(search, at, &at))
			return NULL;
		search->caches++;
	}
	return NULL;
}

struct cprof_error *cprof_jemalloc_caches(struct cprof_baseline_memory *memory,
					  const struct cprof_jemalloc_form *form,
					  const struct cprof_jemalloc_metadata *metadata,
					  const struct cprof_jemalloc_cache_fns *fns, void *ctx)
{
	struct search search = { .memory = memory, .form = form, .fns = fns, .ctx = ctx };
	struct cprof_error *err = NULL;
	for (uint32_t b = 0; !err && b < metadata->n; b++) {
		const uint64_t end = metadata->all[b].end;
		for (uint64_t page =
			     cprof_baseline_memory_next(memory, metadata->all[b].start, end);
		     !err && page < end;
		     page = cprof_baseline_memory_next(memory, page + PAGE, end)) {
			uint64_t words[PAGE / 8];
			if (!cprof_baseline_memory_read(memory, page, words, sizeof(words)))
				continue;
			for (size_t i = 0; !err && i < PAGE / 8 && search.asked < ASKED_MAX; i++) {
				if (!can_be(words[i]) || holds(metadata, words[i]) ||
				    (fns->known && fns->known(ctx, words[i])))
					continue;
				search.asked++;
				err = follow_ring(&search, words[i]);
			}
		}
	}
	cprof_map64_deinit(&search.seen);
	return err;
}
