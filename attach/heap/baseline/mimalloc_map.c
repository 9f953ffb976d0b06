/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/mimalloc_map.h"

#include <string.h>

#include "attach/heap/baseline/baseline_piece.h"

#define USER_SPACE     (1ull << 47)
#define PAGE           CPROF_BASELINE_PAGE
#define SLICE          CPROF_MIMALLOC_SLICE
#define MAP_WORDS      ((uint64_t)1 << 18)
#define SUB_WORDS      ((uint64_t)1 << 13)
#define PAGES_MAX      (1u << 16) /* that may be read in search of the map */
#define WALK_PAGES_MAX (1u << 20) /* of tables */
#define TRIAL          1024       /* pages that are looked at before a map is believed */
#define TRIED_MAX      64         /* entries of a table, until one proves it */
#define BROKEN_MAX     (1u << 16)
#define FOUND_MAX      (16u << 20)
#define SLICES_MAX     ((uint64_t)1 << 24) /* of an arena: 1 TiB */

/* ---- pages ---- */

/* Where versions have what matters: of the map, in bytes from its address on, and of a page (mi_page_t). */
static const struct form {
	uint16_t head;
	uint16_t free, used, capacity, reserved, local_free, thread_free, block_bytes, first;
	bool is_offset; /* `first` is from the page's own address */
	uint16_t rest;  /* from where on its arena may stand */
} forms[CPROF_MIMALLOC_MAP_FORMS] = {
	{ 0, 8, 16, 18, 20, 24, 32, 40, 48, false, 56 },  /* 3.0 to 3.3 */
	{ 80, 16, 40, 56, 58, 24, 64, 32, 48, true, 72 }, /* 3.6 */
};

#define PAGE_BYTES ((size_t)144)

static uint64_t word_at(const uint8_t *bytes, size_t at)
{
	uint64_t word;
	memcpy(&word, bytes + at, sizeof(word));
	return word;
}

static uint16_t half_at(const uint8_t *bytes, size_t at)
{
	uint16_t half;
	memcpy(&half, bytes + at, sizeof(half));
	return half;
}

static bool is_in(uint64_t block, uint64_t start, uint64_t end)
{
	return !block || (block >= start && block < end);
}

static bool decode(uint64_t at, const uint8_t *bytes, const struct form *form,
		   struct cprof_mimalloc_page *page)
{
	const uint64_t first = word_at(bytes, form->first) + (form->is_offset ? at : 0);
	const uint64_t block_bytes = word_at(bytes, form->block_bytes);
	const unsigned reserved = half_at(bytes, form->reserved);
	*page = (struct cprof_mimalloc_page){
		.block_bytes = block_bytes,
		.first = first,
		.capacity = half_at(bytes, form->capacity),
		.used = half_at(bytes, form->used),
		.free = word_at(bytes, form->free),
		.local_free = word_at(bytes, form->local_free),
		.thread_free = word_at(bytes, form->thread_free) & ~(uint64_t)3,
		.first_known = true,
		.in_use = true,
	};
	if (first % 8 || first < PAGE || first >= USER_SPACE || block_bytes < 8 ||
	    block_bytes % 8 || !reserved || page->capacity > reserved ||
	    page->used > page->capacity || block_bytes > (USER_SPACE - first) / reserved)
		return false;
	const uint64_t end = first + reserved * block_bytes;
	page->start = first & ~(SLICE - 1);
	page->end = (end + SLICE - 1) & ~(SLICE - 1);
	return is_in(page->free, first, end) && is_in(page->local_free, first, end) &&
	       is_in(page->thread_free, first, end);
}

static bool read_page(struct cprof_baseline_memory *memory, uint64_t at, const struct form *form,
		      uint8_t bytes[PAGE_BYTES], struct cprof_mimalloc_page *page)
{
	if (at < PAGE || at >= USER_SPACE || at % 8)
		return false;
	const uint8_t *there = cprof_baseline_memory_at(memory, at, PAGE_BYTES, at + 8 * PAGE);
	if (there)
		memcpy(bytes, there, PAGE_BYTES);
	return (there || cprof_baseline_memory_read(memory, at, bytes, PAGE_BYTES)) &&
	       decode(at, bytes, form, page);
}

/* ---- arenas ---- */

/* An arena, which begins at `start`, says early how many slices it has, and how many of these are its head. */
static bool read_arena(struct cprof_baseline_memory *memory, uint64_t at, uint64_t start,
		       uint64_t least, struct cprof_mimalloc_arena *arena)
{
	uint64_t words[16];
	if (!cprof_baseline_memory_read(memory, at, words, sizeof(words)))
		return false;
	for (size_t i = 0; i + 1 < sizeof(words) / sizeof(words[0]); i++) {
		const uint64_t slices = words[i], heads = words[i + 1];
		if (slices < least || slices > SLICES_MAX || !heads || heads >= slices ||
		    slices * SLICE > USER_SPACE - start || at - start >= heads * SLICE)
			continue;
		*arena = (struct cprof_mimalloc_arena){ .start = start,
							.end = start + slices * SLICE,
							.heads = heads * SLICE };
		return true;
	}
	return false;
}

/* A page's memid: its arena, the first slice there and how many. `known`: the arena that a page before it had. */
static bool find_arena(struct cprof_baseline_memory *memory, const uint8_t bytes[PAGE_BYTES],
		       const struct form *form, const struct cprof_mimalloc_page *page,
		       struct cprof_mimalloc_arena *known)
{
	for (size_t i = form->rest; i + 16 <= PAGE_BYTES; i += 8) {
		struct cprof_mimalloc_arena arena;
		const uint64_t at = word_at(bytes, i), which = word_at(bytes, i + 8);
		const uint64_t index = (uint32_t)which, n = which >> 32;
		if (at < PAGE || at % 8 || at >= page->start || !n || !index ||
		    page->start / SLICE <= index || page->end - page->start > n * SLICE)
			continue;
		const uint64_t start = page->start - index * SLICE;
		if (at < start)
			continue;
		if (start == known->start && page->end <= known->end)
			return true;
		if (!read_arena(memory, at, start, index + n, &arena) ||
		    arena.heads > index * SLICE)
			continue;
		*known = arena;
		return true;
	}
	return false;
}

/* ---- tables ---- */

static bool is_table(uint64_t word)
{
	return word >= PAGE && word < USER_SPACE && word % PAGE == 0;
}

/* ---- finding ---- */

/* Does an entry of the table at `table`, which is for slices from `first` on, lead to a page that is there? */
static bool proves_sub(struct cprof_baseline_memory *memory, const struct form *form,
		       uint64_t table, uint64_t first, unsigned *pages)
{
	struct cprof_baseline_piece piece;
	unsigned tried = 0;
	for (uint64_t at = table, end = table + SUB_WORDS * 8;
	     cprof_baseline_piece_next(memory, &at, end, &piece);) {
		if (++*pages > PAGES_MAX || !piece.n)
			return false;
		for (size_t i = 0; i < piece.n; i++) {
			uint8_t bytes[PAGE_BYTES];
			struct cprof_mimalloc_page page;
			const uint64_t slice = first + (piece.addr - table) / 8 + i;
			if (!piece.words[i])
				continue;
			if (piece.words[i] % 8 || piece.words[i] >= USER_SPACE)
				return false;
			if (read_page(memory, piece.words[i], form, bytes, &page) &&
			    page.start / SLICE == slice)
				return true;
			if (++tried == TRIED_MAX)
				return false;
		}
	}
	return false;
}

static bool proves(struct cprof_baseline_memory *memory, const struct cprof_mimalloc_map *map,
		   unsigned *pages)
{
	struct cprof_baseline_piece piece;
	for (uint64_t at = map->addr, end = map->addr + MAP_WORDS * 8;
	     cprof_baseline_piece_next(memory, &at, end, &piece);) {
		if (++*pages > PAGES_MAX || !piece.n)
			return false;
		for (size_t i = 0; i < piece.n; i++) {
			if (!piece.words[i])
				continue;
			if (!is_table(piece.words[i]) || *pages > PAGES_MAX)
				return false;
			const uint64_t index = (piece.addr - map->addr) / 8 + i;
			if (proves_sub(memory, &forms[map->form], piece.words[i], index * SUB_WORDS,
				       pages))
				return true;
		}
	}
	return false;
}

static struct cprof_error *try_page(void *ctx, struct cprof_mimalloc_page *page,
				    const struct cprof_mimalloc_arena *arena)
{
	unsigned *n = ctx;
	(void)page;
	(void)arena;
	return ++*n < TRIAL ? NULL : cprof_error_new(CPROF_ERR_USAGE, "enough");
}

static bool makes_sense(struct cprof_baseline_memory *memory, const struct cprof_mimalloc_map *map)
{
	unsigned n = 0;
	uint64_t broken = 0;
	struct cprof_error *err = cprof_mimalloc_map_each(memory, map, try_page, &n, &broken);
	const bool failed = err && err->code != CPROF_ERR_USAGE;
	cprof_error_free(err);
	return !failed && n && broken * 8 <= n;
}

bool cprof_mimalloc_map_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			     struct cprof_mimalloc_map *ret_map)
{
	struct cprof_baseline_piece piece;
	unsigned pages = 0;
	for (uint64_t at = (start + 7) & ~7ull;
	     cprof_baseline_piece_next(memory, &at, end, &piece);) {
		for (size_t i = 0; i < piece.n * CPROF_MIMALLOC_MAP_FORMS; i++) {
			const uint64_t word = piece.words[i / CPROF_MIMALLOC_MAP_FORMS];
			const unsigned form = i % CPROF_MIMALLOC_MAP_FORMS;
			const struct cprof_mimalloc_map map = { word + forms[form].head, form };
			if (!is_table(word) || pages >= PAGES_MAX ||
			    !proves(memory, &map, &pages) || !makes_sense(memory, &map))
				continue;
			*ret_map = map;
			return true;
		}
	}
	return false;
}

/* ---- all ---- */

struct walk {
	struct cprof_baseline_memory *memory;
	const struct form *form;
	cprof_mimalloc_map_fn *fn;
	void *ctx;
	uint64_t last;    /* page: all its slices have the same */
	uint64_t done_to; /* pages lie one behind the other */
	uint64_t broken;
	struct cprof_mimalloc_arena arena;
	unsigned found, pages;
};

static struct cprof_error *walk_entry(struct walk *walk, uint64_t entry, uint64_t slice)
{
	uint8_t bytes[PAGE_BYTES];
	struct cprof_mimalloc_page page;
	if (!entry || entry == walk->last || slice * SLICE < walk->done_to)
		return NULL;
	walk->last = entry;
	if (!read_page(walk->memory, entry, walk->form, bytes, &page) ||
	    page.start / SLICE != slice || ++walk->found > FOUND_MAX) {
		walk->broken++;
		return NULL;
	}
	walk->done_to = page.end;
	const bool in_arena = find_arena(walk->memory, bytes, walk->form, &page, &walk->arena);
	return walk->fn(walk->ctx, &page, in_arena ? &walk->arena : NULL);
}

static struct cprof_error *walk_sub(struct walk *walk, uint64_t table, uint64_t first)
{
	struct cprof_error *err = NULL;
	struct cprof_baseline_piece piece;
	for (uint64_t at = table, end = table + SUB_WORDS * 8;
	     !err && walk->broken < BROKEN_MAX && ++walk->pages < WALK_PAGES_MAX &&
	     cprof_baseline_piece_next(walk->memory, &at, end, &piece);) {
		walk->broken += !piece.n;
		for (size_t i = 0; !err && i < piece.n && walk->broken < BROKEN_MAX; i++)
			err = walk_entry(walk, piece.words[i],
					 first + (piece.addr - table) / 8 + i);
	}
	return err;
}

struct cprof_error *cprof_mimalloc_map_each(struct cprof_baseline_memory *memory,
					    const struct cprof_mimalloc_map *map,
					    cprof_mimalloc_map_fn *fn, void *ctx,
					    uint64_t *ret_broken)
{
	struct walk walk = { .memory = memory, .form = &forms[map->form], .fn = fn, .ctx = ctx };
	struct cprof_error *err = NULL;
	struct cprof_baseline_piece piece;
	for (uint64_t at = map->addr, end = map->addr + MAP_WORDS * 8;
	     !err && walk.broken < BROKEN_MAX && ++walk.pages < WALK_PAGES_MAX &&
	     cprof_baseline_piece_next(memory, &at, end, &piece);) {
		for (size_t i = 0; !err && i < piece.n; i++) {
			if (!piece.words[i])
				continue;
			if (is_table(piece.words[i]))
				err = walk_sub(&walk, piece.words[i],
					       ((piece.addr - map->addr) / 8 + i) * SUB_WORDS);
			else
				walk.broken++;
		}
	}
	*ret_broken = walk.broken;
	return err;
}
