/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_lists.h"

#include <string.h>

#define BINS_MAX   76u
#define SMALL_BINS 64u

/* tcache_perthread_struct: counts, then the heads of the lists. */
static const struct cache_layout {
	uint64_t chunk_size;
	unsigned count_bytes, bins;
} layouts[] = {
	{ 0x250, 1, 64 }, /* 2.26 to 2.29 */
	{ 0x290, 2, 64 }, /* 2.30 to 2.41 */
	{ 0x300, 2, 76 }, /* since 2.42; the last 12 are of large blocks, by powers of two */
};

struct block {
	uint64_t addr; /* as the program knows it */
	uint64_t size, link;
};

static bool is_counted(struct cprof_glibc_walk *walk, uint64_t addr)
{
	return addr % CPROF_GLIBC_ALIGN == 0 &&
	       cprof_baseline_blocks_has(&walk->account->blocks, addr);
}

static bool look(struct cprof_glibc_walk *walk, uint64_t addr, struct block *block)
{
	uint64_t words[2];
	if (!is_counted(walk, addr) ||
	    !cprof_baseline_memory_read(walk->target->memory, addr - 8, words, sizeof(words)))
		return false;
	*block = (struct block){ .addr = addr,
				 .size = words[0] & ~(uint64_t)CPROF_GLIBC_FLAGS,
				 .link = words[1] };
	return block->size >= CPROF_GLIBC_SMALLEST;
}

/* Where a link leads: since 2.32 it is stored crossed with its own place. `ahead` is from what it names to a block. */
static uint64_t follow(struct cprof_glibc_walk *walk, const struct block *block, uint64_t ahead)
{
	const uint64_t crossed = cprof_glibc_reveal(block->addr, block->link);
	if (!block->link || !crossed)
		return 0;
	return is_counted(walk, crossed + ahead) ? crossed + ahead : block->link + ahead;
}

static struct cprof_error *take_out(struct cprof_glibc_walk *walk, const struct block *block,
				    enum cprof_baseline_part part)
{
	const struct cprof_glibc_area *area = cprof_glibc_place_area(walk->place, block->addr);
	const uint64_t usable = cprof_glibc_usable(block->size, false);
	uint32_t row;
	if (!area) {
		walk->conflicts++;
		return NULL;
	}
	struct cprof_error *err =
		cprof_glibc_rows_enter(&walk->rows, &walk->place->arenas[area->arena]);
	if (!err)
		err = cprof_glibc_rows_row(&walk->rows, usable, block->link, &row);
	if (!err && !cprof_baseline_account_unblock(walk->account, row, block->addr, usable, part))
		walk->conflicts++;
	return err;
}

/*
 * From the block at `addr` to the end. Each one is taken out, so a ring ends; what is in no area cannot be, and no list has
 * that.
 */
static struct cprof_error *take_list(struct cprof_glibc_walk *walk, uint64_t addr, uint64_t ahead)
{
	struct cprof_error *err = NULL;
	struct block block;
	while (!err && addr) {
		if (!look(walk, addr, &block) || !cprof_glibc_place_area(walk->place, addr)) {
			walk->conflicts++; /* handed out meanwhile */
			return NULL;
		}
		addr = follow(walk, &block, ahead);
		err = take_out(walk, &block, CPROF_BASELINE_CACHED);
	}
	return err;
}

/* ---- threads' caches ---- */

static bool is_of_bin(const struct block *block, unsigned bin)
{
	return bin >= SMALL_BINS || block->size == CPROF_GLIBC_SMALLEST + 16ull * bin;
}

/* All heads are counted blocks of the right size, or none. Busy threads change them: a few may be off. */
static bool is_cache(struct cprof_glibc_walk *walk, const struct cache_layout *layout,
		     const uint64_t *heads)
{
	unsigned good = 0, bad = 0;
	for (unsigned bin = 0; bin < layout->bins; bin++) {
		struct block block;
		if (!heads[bin])
			continue;
		if (look(walk, heads[bin], &block) && is_of_bin(&block, bin))
			good++;
		else
			bad++;
	}
	return good && bad <= good / 4;
}

/* Untouched counts and no heads: the first block of an area is what its thread began with. */
static bool is_first(const struct cprof_glibc_walk *walk, uint64_t chunk)
{
	const struct cprof_glibc_area *area = cprof_glibc_place_area(walk->place, chunk);
	return area && area->start_known && area->start == chunk;
}

static struct cprof_error *look_at_cache(struct cprof_glibc_walk *walk, uint64_t chunk)
{
	uint64_t heads[BINS_MAX];
	struct block whole;
	const struct cache_layout *layout = layouts;
	if (!look(walk, chunk + CPROF_GLIBC_HEADER, &whole))
		return NULL;
	while (layout->chunk_size != whole.size) {
		if (++layout == layouts + sizeof(layouts) / sizeof(layouts[0]))
			return NULL;
	}
	if (!cprof_baseline_memory_read(walk->target->memory,
					whole.addr + (uint64_t)layout->bins * layout->count_bytes,
					heads, layout->bins * sizeof(*heads)))
		return NULL;
	if (!is_cache(walk, layout, heads) && !is_first(walk, chunk))
		return NULL;
	struct cprof_error *err = take_out(walk, &whole, CPROF_BASELINE_OWN);
	for (unsigned bin = 0; !err && bin < layout->bins; bin++) {
		struct block block;
		if (heads[bin] && look(walk, heads[bin], &block) && is_of_bin(&block, bin))
			err = take_list(walk, heads[bin], 0);
	}
	return err;
}

struct cprof_error *cprof_glibc_lists_take_out(struct cprof_glibc_walk *walk)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < walk->n_caches; i++)
		err = look_at_cache(walk, walk->caches[i]);
	for (uint32_t i = 0; !err && i < walk->place->n_arenas; i++) {
		struct cprof_glibc_arena *arena = &walk->place->arenas[i];
		if (!cprof_glibc_arena_read(walk->target->memory, arena))
			continue;
		for (unsigned bin = 0; !err && bin < CPROF_GLIBC_N_FASTBINS; bin++) {
			if (arena->fastbins[bin])
				err = take_list(walk, arena->fastbins[bin] + CPROF_GLIBC_HEADER,
						CPROF_GLIBC_HEADER);
		}
	}
	return err;
}
