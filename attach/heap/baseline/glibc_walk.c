/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_walk.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define CHAIN    8u    /* chunks in a row that make a place to go on from */
#define DOUBTFUL 1024u /* a place whose chunk is larger than this is compared with others */
#define RIVALS   ((uint64_t)256 << 10) /* which are looked for so far */
#define STRETCH  ((uint64_t)1 << 20)   /* of memory, with one chunk to be looked at again */
#define AGAIN    64u                   /* chunks looked at in one place, and places */

void cprof_glibc_walk_deinit(struct cprof_glibc_walk *walk)
{
	cprof_glibc_rows_deinit(&walk->rows);
	free(walk->caches);
	free(walk->anchors);
	walk->caches = walk->anchors = NULL;
}

/* ---- what a chunk is ---- */

static struct cprof_baseline_sum *part_of(struct cprof_glibc_walk *walk,
					  enum cprof_baseline_part part)
{
	return &walk->account->allocators[walk->allocator].totals.parts[part];
}

static void add_part(struct cprof_glibc_walk *walk, enum cprof_baseline_part part, uint64_t objects,
		     uint64_t start, uint64_t bytes)
{
	cprof_baseline_account_part(walk->account, walk->allocator, part, objects, bytes);
	if (bytes >= CPROF_GLIBC_LARGE)
		part_of(walk, part)->absent +=
			cprof_baseline_memory_absent(walk->target->memory, start, start + bytes);
}

struct cprof_error *cprof_glibc_walk_block(struct cprof_glibc_walk *walk, uint64_t chunk,
					   uint64_t size, bool mapped, uint64_t word)
{
	const uint64_t usable = cprof_glibc_usable(size, mapped);
	uint32_t row;
	struct cprof_error *err = cprof_glibc_rows_row(&walk->rows, usable, word, &row);
	if (!err)
		err = cprof_baseline_account_block(walk->account, row, chunk + CPROF_GLIBC_HEADER,
						   usable);
	part_of(walk, CPROF_BASELINE_OWN)->bytes += size - usable;
	if (size >= CPROF_GLIBC_LARGE)
		part_of(walk, CPROF_BASELINE_IN_USE)->absent +=
			cprof_baseline_memory_absent(walk->target->memory, chunk, chunk + size);
	if (err || !cprof_glibc_is_cache_size(size) || mapped)
		return err;
	if (!CPROF_ARRAY_ROOM(walk->caches, walk->n_caches, walk->cap_caches, 1))
		return cprof_error_no_memory();
	walk->caches[walk->n_caches++] = chunk;
	return NULL;
}

static void untold(struct cprof_glibc_walk *walk, uint64_t start, uint64_t end)
{
	struct cprof_baseline_totals *totals = &walk->account->allocators[walk->allocator].totals;
	add_part(walk, CPROF_BASELINE_UNTOLD, 0, start, end - start);
	totals->error_bytes += end - start;
}

/* The chunk before `next` is closed by it: it tells whether that one is in use. */
static struct cprof_error *close_chunk(struct cprof_glibc_walk *walk,
				       const struct cprof_glibc_chunk *chunk,
				       const struct cprof_glibc_chunk *next)
{
	if (!chunk->size)
		return NULL;
	if (next->flags & CPROF_GLIBC_PREV_IN_USE)
		return cprof_glibc_walk_block(walk, chunk->addr, chunk->size, false, chunk->word);
	walk->conflicts += next->prev_size != chunk->size;
	add_part(walk, CPROF_BASELINE_FREE, 1, chunk->addr, chunk->size);
	return NULL;
}

/* Is a chunk at `addr` possible? Its flags are those of its arena, and it ends inside the area. */
static bool fits(const struct cprof_glibc_area *area, bool main,
		 const struct cprof_glibc_chunk *chunk)
{
	return chunk->size >= CPROF_GLIBC_SMALLEST && chunk->size % CPROF_GLIBC_ALIGN == 0 &&
	       chunk->size <= area->end - chunk->addr && !(chunk->flags & CPROF_GLIBC_MAPPED) &&
	       !(main && (chunk->flags & CPROF_GLIBC_OTHER_ARENA));
}

static bool is_fence(const struct cprof_glibc_chunk *chunk)
{
	return chunk->size <= CPROF_GLIBC_FENCE && chunk->size % CPROF_GLIBC_ALIGN == 0 &&
	       (chunk->flags & CPROF_GLIBC_PREV_IN_USE || chunk->size) &&
	       !(chunk->flags & CPROF_GLIBC_MAPPED);
}

/* ---- a place to go on from ---- */

static bool look(struct cprof_glibc_walk *walk, uint64_t addr, struct cprof_glibc_chunk *chunk)
{
	uint8_t bytes[16];
	if (!cprof_baseline_memory_read(walk->target->memory, addr, bytes, sizeof(bytes)))
		return false;
	cprof_glibc_chunk_take(chunk, addr, bytes, sizeof(bytes));
	return true;
}

/* Do several chunks in a row fit from this one on, or does the way end where an arena's does? */
static bool leads_on(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
		     const struct cprof_glibc_chunk *first)
{
	const struct cprof_glibc_arena *arena = &walk->place->arenas[area->arena];
	struct cprof_glibc_chunk chunk = *first, next;
	for (unsigned i = 0; i < CHAIN; i++) {
		if (chunk.addr == arena->top)
			return true;
		const uint64_t addr = chunk.addr + chunk.size;
		if (area->end - addr < CPROF_GLIBC_HEADER)
			return addr == area->end;
		if (!walk->budget || !look(walk, addr, &next))
			return false;
		walk->budget--;
		if (is_fence(&next))
			return i > 0;
		if (!fits(area, arena->main, &next) ||
		    (!(next.flags & CPROF_GLIBC_PREV_IN_USE) && next.prev_size != chunk.size))
			return false;
		chunk = next;
	}
	return true;
}

/* The first such place from `from` on, before `upto`; `upto`: there is none. */
static uint64_t search(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
		       uint64_t from, uint64_t upto, uint64_t *ret_size)
{
	struct cprof_baseline_memory *memory = walk->target->memory;
	const bool main = walk->place->arenas[area->arena].main;
	for (uint64_t at = cprof_glibc_aligned(from); at < upto && walk->budget;) {
		const uint64_t page_end = (at | (CPROF_BASELINE_PAGE - 1)) + 1;
		const uint64_t end = page_end < upto ? page_end : upto;
		uint8_t page[CPROF_BASELINE_PAGE];
		if (!cprof_baseline_memory_read(memory, at, page, (size_t)(end - at))) {
			at = cprof_baseline_memory_next(memory, page_end, upto);
			continue;
		}
		const uint64_t start = at;
		for (; at + CPROF_GLIBC_HEADER <= end; at += CPROF_GLIBC_ALIGN) {
			struct cprof_glibc_chunk chunk;
			cprof_glibc_chunk_take(&chunk, at, page + (at - start), CPROF_GLIBC_HEADER);
			*ret_size = chunk.size;
			if ((chunk.flags & CPROF_GLIBC_PREV_IN_USE) && fits(area, main, &chunk) &&
			    leads_on(walk, area, &chunk))
				return at;
		}
		at = end;
	}
	return upto;
}

/*
 * Any word that looks like a large size may lead to the beginning of a chunk by chance. So where there is another place inside
 * what would be that chunk, that one is taken.
 */
static uint64_t find_place(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
			   uint64_t from)
{
	uint64_t size, at = search(walk, area, from, area->end, &size);
	while (at < area->end && size > DOUBTFUL) {
		const uint64_t inside = size < RIVALS ? size : RIVALS;
		uint64_t other_size;
		const uint64_t other =
			search(walk, area, at + CPROF_GLIBC_ALIGN, at + inside, &other_size);
		if (other == at + inside)
			break;
		at = other;
		size = other_size;
	}
	return at;
}

bool cprof_glibc_walk_is_piece(struct cprof_glibc_walk *walk, uint64_t addr, uint64_t end)
{
	struct cprof_glibc_chunk chunk;
	const struct cprof_glibc_area area = { .start = addr,
					       .end = end,
					       .arena = cprof_glibc_place_main(walk->place) };
	return area.arena < walk->place->n_arenas && look(walk, addr, &chunk) && !chunk.prev_size &&
	       chunk.flags == CPROF_GLIBC_PREV_IN_USE && fits(&area, true, &chunk) &&
	       leads_on(walk, &area, &chunk);
}

/* ---- looking again ---- */

static struct cprof_error *note_anchor(struct cprof_glibc_walk *walk, uint64_t addr)
{
	if (addr >= walk->next_anchor - STRETCH && addr < walk->next_anchor)
		return NULL;
	if (!CPROF_ARRAY_ROOM(walk->anchors, walk->n_anchors, walk->cap_anchors, 1))
		return cprof_error_no_memory();
	walk->anchors[walk->n_anchors++] = addr;
	walk->next_anchor = addr + STRETCH;
	return NULL;
}

struct again {
	uint64_t seen, changed;
};

static void look_from(struct cprof_glibc_walk *walk, uint64_t addr, struct again *again)
{
	const struct cprof_glibc_area *area = cprof_glibc_place_area(walk->place, addr);
	struct cprof_glibc_chunk chunk, next;
	if (!area || !look(walk, addr, &chunk))
		return;
	const struct cprof_glibc_arena *arena = &walk->place->arenas[area->arena];
	for (unsigned i = 0; i < AGAIN && chunk.addr != arena->top; i++) {
		again->seen++;
		if (!fits(area, arena->main, &chunk) || area->end - chunk.addr - chunk.size < 16 ||
		    !look(walk, chunk.addr + chunk.size, &next))
			return;
		again->changed += (next.flags & CPROF_GLIBC_PREV_IN_USE) !=
				  cprof_baseline_blocks_has(&walk->account->blocks,
							    chunk.addr + CPROF_GLIBC_HEADER);
		if (is_fence(&next))
			return;
		chunk = next;
	}
}

void cprof_glibc_walk_look_again(struct cprof_glibc_walk *walk)
{
	struct cprof_baseline_totals *totals = &walk->account->allocators[walk->allocator].totals;
	const struct cprof_baseline_sum *in_use = &totals->parts[CPROF_BASELINE_IN_USE];
	struct again again = { 0 };
	const uint32_t places = walk->n_anchors < AGAIN ? walk->n_anchors : AGAIN;
	for (uint32_t i = 0; i < places; i++)
		look_from(walk, walk->anchors[(uint64_t)i * walk->n_anchors / places], &again);
	if (!again.seen)
		return;
	const double share = (double)again.changed / (double)again.seen;
	totals->error_objects += (uint64_t)(share * (double)in_use->objects);
	totals->error_bytes += (uint64_t)(share * (double)in_use->bytes);
}

/* ---- an area ---- */

/* It may have grown or shrunk since its arena was read. */
static bool is_top(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
		   const struct cprof_glibc_chunk *chunk)
{
	struct cprof_glibc_arena *arena = &walk->place->arenas[area->arena];
	if (chunk->addr != arena->top && chunk->addr + chunk->size != area->end)
		return false;
	const uint64_t then = arena->top;
	if (!cprof_glibc_arena_read(walk->target->memory, arena) || arena->top != then)
		walk->conflicts++;
	return chunk->addr == arena->top || chunk->addr + chunk->size == area->end;
}

/* The first word is in the next page where a header ends one, and that page may not be there: nobody wrote to it yet. */
static bool look_ahead(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
		       uint64_t addr, struct cprof_glibc_chunk *chunk)
{
	const uint64_t left = area->end - addr;
	size_t n = left < CPROF_GLIBC_LOOK ? CPROF_GLIBC_HEADER : CPROF_GLIBC_LOOK;
	const uint8_t *bytes = cprof_baseline_memory_at(walk->target->memory, addr, n, area->end);
	if (!bytes && n > CPROF_GLIBC_HEADER) {
		n = CPROF_GLIBC_HEADER;
		bytes = cprof_baseline_memory_at(walk->target->memory, addr, n, area->end);
	}
	if (bytes)
		cprof_glibc_chunk_take(chunk, addr, bytes, n);
	return bytes;
}

/* Step from chunk to chunk; where that ends: the area's end, or what does not fit. */
enum end { END_TOP, END_FENCE, END_BROKEN };

/*
 * What is plain of the memory that was read with the chunk before. A place is noted in each stretch, so that ends it as well.
 */
static struct cprof_error *go_plainly(struct cprof_glibc_walk *walk,
				      const struct cprof_glibc_area *area,
				      struct cprof_glibc_way *way)
{
	const struct cprof_glibc_arena *arena = &walk->place->arenas[area->arena];
	const struct cprof_glibc_bounds bounds = { .top = arena->top,
						   .end = area->end,
						   .least = walk->next_anchor - STRETCH,
						   .most = walk->next_anchor,
						   .main = arena->main };
	struct cprof_glibc_plain plain;
	size_t n;
	const uint8_t *bytes =
		cprof_baseline_memory_at_hand(walk->target->memory, way->at, area->end, &n);
	if (!way->chunk.size || n < CPROF_GLIBC_LOOK)
		return NULL;
	struct cprof_error *err = cprof_glibc_plain_go(&walk->rows, &bounds, bytes, n, way, &plain);
	part_of(walk, CPROF_BASELINE_OWN)->bytes += plain.own_bytes;
	cprof_baseline_account_part(walk->account, walk->allocator, CPROF_BASELINE_FREE, plain.free,
				    plain.free_bytes);
	walk->conflicts += plain.conflicts;
	return err;
}

static struct cprof_error *step_on(struct cprof_glibc_walk *walk,
				   const struct cprof_glibc_area *area, struct cprof_glibc_way *way,
				   enum end *ret_end)
{
	const bool main = walk->place->arenas[area->arena].main;
	for (;;) {
		struct cprof_glibc_chunk next = { 0 };
		struct cprof_error *err = go_plainly(walk, area, way);
		*ret_end = END_BROKEN;
		if (err)
			return err;
		if (!look_ahead(walk, area, way->at, &next))
			return NULL;
		const bool fence = is_fence(&next);
		if (!fence && !fits(area, main, &next))
			return NULL;
		err = close_chunk(walk, &way->chunk, &next);
		if (err)
			return err;
		way->chunk = (struct cprof_glibc_chunk){ 0 };
		*ret_end = fence ? END_FENCE : END_TOP;
		if (fence || is_top(walk, area, &next))
			return NULL;
		way->chunk = next;
		way->at += next.size;
		err = note_anchor(walk, next.addr);
		if (err)
			return err;
	}
}

/* Behind two fences the arena's memory is somewhere else; what follows is another's, or again ours further on. */
static uint64_t end_area(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
			 const struct cprof_glibc_way *way, enum end end)
{
	if (end == END_TOP) {
		struct cprof_glibc_chunk top = { 0 };
		look(walk, way->at, &top);
		const uint64_t to = top.size && top.size <= area->end - way->at ? way->at + top.size
										: area->end;
		add_part(walk, CPROF_BASELINE_TOP, 1, way->at, to - way->at);
		if (area->piece)
			walk->account->ranges[walk->account->n_ranges - 1].end = to;
		else
			cprof_baseline_account_part(walk->account, walk->allocator,
						    CPROF_BASELINE_OWN, 0, area->end - to);
		return area->end;
	}
	const uint64_t fences = way->at + 2 * CPROF_GLIBC_FENCE;
	const uint64_t to = fences < area->end ? fences : area->end;
	cprof_baseline_account_part(walk->account, walk->allocator, CPROF_BASELINE_OWN, 0,
				    to - way->at);
	return to;
}

/* From what does not fit to where it goes on. */
static uint64_t go_on(struct cprof_glibc_walk *walk, const struct cprof_glibc_area *area,
		      const struct cprof_glibc_way *way)
{
	struct cprof_baseline_totals *totals = &walk->account->allocators[walk->allocator].totals;
	const uint64_t from = way->chunk.size ? way->chunk.addr : way->at;
	const uint64_t to = find_place(walk, area, from + CPROF_GLIBC_ALIGN);
	totals->resyncs++;
	untold(walk, from, to);
	return to;
}

/* Behind the fences: unused in a heap; in the main arena another's memory, as far as no chunks of ours follow. */
static struct cprof_error *skip_foreign(struct cprof_glibc_walk *walk,
					const struct cprof_glibc_area *area, uint64_t *at)
{
	const uint64_t foreign = *at;
	*at = area->piece ? area->end : find_place(walk, area, foreign);
	if (!walk->place->arenas[area->arena].main) {
		cprof_baseline_account_part(walk->account, walk->allocator, CPROF_BASELINE_OWN, 0,
					    *at - foreign);
		return NULL;
	}
	walk->account->ranges[walk->account->n_ranges - 1].end = foreign;
	return *at < area->end ? cprof_baseline_account_range(walk->account, walk->allocator, *at,
							      area->end)
			       : NULL;
}

static struct cprof_error *walk_on(struct cprof_glibc_walk *walk,
				   const struct cprof_glibc_area *area, uint64_t at)
{
	struct cprof_error *err = NULL;
	while (!err && area->end - at >= CPROF_GLIBC_SMALLEST) {
		struct cprof_glibc_way way = { .at = at };
		enum end end;
		err = step_on(walk, area, &way, &end);
		if (err || end == END_BROKEN) {
			at = go_on(walk, area, &way);
			continue;
		}
		at = end_area(walk, area, &way, end);
		if (at >= area->end)
			break;
		err = skip_foreign(walk, area, &at);
	}
	return err;
}

struct cprof_error *cprof_glibc_walk_area(struct cprof_glibc_walk *walk,
					  const struct cprof_glibc_area *area)
{
	struct cprof_glibc_chunk first;
	uint64_t at = area->start;
	if (!area->start_known && (!look(walk, at, &first) ||
				   !fits(area, walk->place->arenas[area->arena].main, &first) ||
				   !leads_on(walk, area, &first)))
		at = find_place(walk, area, at);
	if (at >= area->end)
		return NULL;
	struct cprof_error *err =
		cprof_glibc_rows_enter(&walk->rows, &walk->place->arenas[area->arena]);
	if (!err)
		err = cprof_baseline_account_range(walk->account, walk->allocator, at - area->head,
						   area->end);
	cprof_baseline_account_part(walk->account, walk->allocator, CPROF_BASELINE_OWN, 0,
				    area->head);
	return err ? err : walk_on(walk, area, at);
}
