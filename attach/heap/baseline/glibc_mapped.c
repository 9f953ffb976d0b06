/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_mapped.h"

#include <string.h>
#include <sys/mman.h>

#define SEARCH_MAX ((uint64_t)16 << 30) /* bytes of memory that are looked through for beginnings */

/*
 * Until 2.42 the size counts all pages; since 2.43 it leaves out the header. The size before is the way to the mapping's
 * beginning, for blocks that had to be aligned; those are found by what was left at the beginning itself.
 */
uint64_t cprof_glibc_mapped_bytes(const uint64_t words[2], uint64_t addr, uint64_t end)
{
	const uint64_t size = words[1] & ~(uint64_t)CPROF_GLIBC_FLAGS;
	const unsigned flags = words[1] & CPROF_GLIBC_FLAGS;
	if (words[0] > 1 || flags != CPROF_GLIBC_MAPPED || size % CPROF_GLIBC_ALIGN || !size ||
	    size > end - addr)
		return 0;
	if (size % CPROF_BASELINE_PAGE == 0)
		return size;
	const uint64_t whole = size + CPROF_GLIBC_HEADER;
	return whole % CPROF_BASELINE_PAGE == 0 && whole <= end - addr ? whole : 0;
}

static bool may_hold(const struct cprof_map *map)
{
	return !map->inode && (map->prot & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) &&
	       !(map->prot & PROT_EXEC) && (!map->path[0] || strncmp(map->path, "[anon", 5) == 0);
}

static struct cprof_error *add_block(struct cprof_glibc_walk *walk, uint64_t addr, uint64_t bytes,
				     uint64_t word)
{
	struct cprof_error *err =
		cprof_baseline_account_range(walk->account, walk->allocator, addr, addr + bytes);
	return err ? err : cprof_glibc_walk_block(walk, addr, bytes, true, word);
}

/* To where the arena's memory ends in it. */
static struct cprof_error *add_piece(struct cprof_glibc_walk *walk, uint64_t addr, uint64_t end,
				     uint64_t *ret_bytes)
{
	const struct cprof_glibc_area area = { .start = addr,
					       .end = end,
					       .arena = cprof_glibc_place_main(walk->place),
					       .start_known = true,
					       .piece = true };
	struct cprof_error *err = cprof_glibc_place_add(walk->place, &area);
	if (!err)
		err = cprof_glibc_walk_area(walk, &area);
	if (!err)
		err = cprof_glibc_rows_enter(&walk->rows, NULL);
	if (err)
		return err;
	struct cprof_glibc_area *added = &walk->place->areas[walk->place->n_areas - 1];
	added->end = walk->account->ranges[walk->account->n_ranges - 1].end;
	*ret_bytes = (added->end - addr + CPROF_BASELINE_PAGE - 1) & ~(CPROF_BASELINE_PAGE - 1);
	return NULL;
}

static bool in_pieces(const struct cprof_glibc_walk *walk)
{
	const uint32_t main = cprof_glibc_place_main(walk->place);
	return main < walk->place->n_arenas && walk->place->arenas[main].in_pieces;
}

/* From page to page; over the pages of a block at once. */
static struct cprof_error *search(struct cprof_glibc_walk *walk, uint64_t at, uint64_t end,
				  uint64_t *left)
{
	struct cprof_baseline_memory *memory = walk->target->memory;
	const bool pieces = in_pieces(walk);
	struct cprof_error *err = NULL;
	while (!err && at < end && *left) {
		uint64_t words[3], bytes = 0;
		at = cprof_baseline_memory_next(memory, at, end);
		if (end - at < sizeof(words))
			break;
		const uint8_t *page = cprof_baseline_memory_at(memory, at, sizeof(words), end);
		if (page) {
			memcpy(words, page, sizeof(words));
			bytes = cprof_glibc_mapped_bytes(words, at, end);
		}
		if (bytes)
			err = add_block(walk, at, bytes, words[2]);
		else if (page && pieces && cprof_glibc_walk_is_piece(walk, at, end))
			err = add_piece(walk, at, end, &bytes);
		at += bytes ? bytes : CPROF_BASELINE_PAGE;
		if (!bytes)
			*left -= CPROF_BASELINE_PAGE < *left ? CPROF_BASELINE_PAGE : *left;
	}
	return err;
}

/* Around the areas of arenas: heaps are in anonymous memory as well, and may touch it. */
static struct cprof_error *search_map(struct cprof_glibc_walk *walk, const struct cprof_map *map,
				      uint64_t *left)
{
	struct cprof_error *err = NULL;
	uint64_t at = map->start;
	const uint32_t n = walk->place->n_areas; /* pieces that are found come behind them */
	for (uint32_t i = 0; !err && i < n; i++) {
		const struct cprof_glibc_area area = walk->place->areas[i];
		const uint64_t start = area.start - area.head;
		if (area.end <= at || start >= map->end)
			continue;
		if (start > at)
			err = search(walk, at, start, left);
		at = area.end;
	}
	return err || at >= map->end ? err : search(walk, at, map->end, left);
}

struct cprof_error *cprof_glibc_mapped_find(struct cprof_glibc_walk *walk)
{
	const struct cprof_maps *maps = walk->target->maps;
	uint64_t left = SEARCH_MAX;
	struct cprof_error *err = cprof_glibc_rows_enter(&walk->rows, NULL);
	for (size_t i = 0; !err && left && i < maps->n_sorted; i++) {
		if (may_hold(maps->sorted[i]))
			err = search_map(walk, maps->sorted[i], &left);
		cprof_glibc_place_sort(walk->place);
	}
	if (!err && !left)
		err = cprof_baseline_account_untold(
			walk->account, walk->allocator,
			"only the first %llu GiB of other anonymous memory were looked through for "
			"large blocks",
			(unsigned long long)(SEARCH_MAX >> 30));
	return err;
}
