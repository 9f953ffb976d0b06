/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mimalloc 2.0 to 3.6, in its library or linked into the program: pages from the entries of its segments (mimalloc_segments.h), since 3
 * from its map of pages (mimalloc_map.h), and blocks from their lists of free blocks.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/baseline_teller.h"
#include "attach/heap/baseline/mimalloc_map.h"
#include "attach/heap/baseline/mimalloc_segments.h"
#include "cprof/hash.h"

#define SEGMENTS_MAX (1u << 20) /* addresses that may be looked at */
#define DATA_BYTES   4096       /* more than mimalloc's main heap is in no smaller segment */

struct place {
	uint64_t key;
	struct cprof_mimalloc_map map; /* since 3; none: it has segments */
};

struct reading {
	struct cprof_baseline_teller teller;
	struct cprof_map64 heaps;   /* that were asked for what is delayed */
	struct cprof_map64 delayed; /* blocks that were given back to a heap */
	uint64_t free[CPROF_MIMALLOC_BLOCKS / 64];
	struct cprof_mimalloc_segment segment;
	uint64_t broken;
	struct cprof_mimalloc_arena arena; /* since 3: that of the page before */
	uint64_t done;                     /* and to where it was told */
};

/* ---- each segment ---- */

/* True: stop. */
typedef bool on_segment_fn(void *ctx, struct cprof_mimalloc_segment *segment);

static bool each_segment(const struct cprof_baseline_target *target,
			 struct cprof_mimalloc_segment *segment, on_segment_fn *fn, void *ctx)
{
	unsigned asked = 0;
	uint64_t from = CPROF_MIMALLOC_SEGMENT;
	for (size_t i = 0; i < target->maps->n_sorted; i++) {
		const struct cprof_map *map = target->maps->sorted[i];
		if (map->inode || !(map->prot & PROT_WRITE))
			continue;
		uint64_t at =
			(map->start + CPROF_MIMALLOC_SEGMENT - 1) & ~(CPROF_MIMALLOC_SEGMENT - 1);
		for (; at < map->end && asked < SEGMENTS_MAX; at += CPROF_MIMALLOC_SEGMENT) {
			asked++;
			if (at < from || !cprof_mimalloc_segment_read(target->memory, at, segment))
				continue;
			if (fn(ctx, segment))
				return true;
			from = at + segment->bytes;
		}
	}
	return false;
}

/* ---- finding ---- */

struct finding {
	const struct cprof_baseline_target *target;
	struct cprof_error *err;
	uint64_t key;
	unsigned tried;
	struct cprof_mimalloc_map map;
};

static bool has_key(void *ctx, uint64_t start, uint64_t end)
{
	const struct finding *finding = ctx;
	struct cprof_baseline_memory *memory = finding->target->memory;
	uint64_t words[CPROF_BASELINE_PAGE / 8];
	start = (start + 7) & ~7ull;
	for (uint64_t at = cprof_baseline_memory_next(memory, start, end); at < end;
	     at = cprof_baseline_memory_next(memory, at, end)) {
		const uint64_t page_end = (at | (CPROF_BASELINE_PAGE - 1)) + 1;
		const uint64_t stop = page_end < end ? page_end : end & ~7ull;
		if (at < stop && cprof_baseline_memory_read(memory, at, words, stop - at)) {
			for (size_t i = 0; i < (stop - at) / 8; i++) {
				if (words[i] == finding->key)
					return true;
			}
		}
		at = page_end;
	}
	return false;
}

static bool try_segment(void *ctx, struct cprof_mimalloc_segment *segment)
{
	struct finding *finding = ctx;
	bool found = false;
	if (!segment->key || segment->key == finding->key || finding->tried++ > 16)
		return false;
	finding->key = segment->key;
	finding->err = cprof_baseline_each_data(finding->target->maps, finding->target->modules,
						DATA_BYTES, has_key, finding, &found);
	return finding->err || found;
}

static bool find_map(void *ctx, uint64_t start, uint64_t end)
{
	struct finding *finding = ctx;
	return cprof_mimalloc_map_find(finding->target->memory, start, end, &finding->map);
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	struct finding finding = { .target = target };
	struct cprof_mimalloc_segment *segment = malloc(sizeof(*segment));
	struct place *place = malloc(sizeof(*place));
	if (!segment || !place) {
		free(segment);
		free(place);
		return cprof_error_no_memory();
	}
	bool found = each_segment(target, segment, try_segment, &finding);
	free(segment);
	if (!found && !finding.err)
		finding.err = cprof_baseline_each_data(target->maps, target->modules, DATA_BYTES,
						       find_map, &finding, &found);
	*place = (struct place){ .key = finding.key, .map = finding.map };
	if (found && !finding.err)
		*ret_place = place;
	else
		free(place);
	return finding.err;
}

/* ---- pages ---- */

static struct cprof_error *read_page(struct reading *reading, struct cprof_mimalloc_page *page)
{
	unsigned n_free;
	uint32_t row;
	struct cprof_baseline_teller *teller = &reading->teller;
	struct cprof_baseline_totals *totals = cprof_baseline_teller_totals(teller);
	if (!page->in_use) {
		cprof_baseline_teller_place(teller, CPROF_BASELINE_FREE, 1, page->start, page->end);
		return NULL;
	}
	if (!cprof_mimalloc_page_free(teller->memory, page, reading->free, &n_free)) {
		reading->broken++;
		totals->error_objects += page->used;
		totals->error_bytes += page->used * page->block_bytes;
		cprof_baseline_teller_place(teller, CPROF_BASELINE_UNTOLD, 0, page->start,
					    page->end);
		return NULL;
	}
	bool may;
	struct cprof_error *err = cprof_baseline_teller_may_look(teller, page->capacity, &may);
	if (err || !may) {
		cprof_baseline_teller_place(teller, CPROF_BASELINE_UNTOLD, 0, page->start,
					    page->end);
		return err;
	}
	err = cprof_baseline_teller_row(teller, page->block_bytes, NULL, page->block_bytes,
					page->block_bytes, &row);
	for (unsigned i = 0; !err && i < page->capacity; i++) {
		const uint64_t addr = page->first + i * page->block_bytes;
		const uint64_t end = addr + page->block_bytes;
		const uint64_t absent = cprof_baseline_teller_absent(teller, addr, end);
		if (reading->free[i / 64] >> i % 64 & 1 || cprof_map64_get(&reading->delayed, addr))
			cprof_baseline_teller_part(teller, CPROF_BASELINE_FREE, 1,
						   page->block_bytes, absent);
		else if (page->block_bytes < 16)
			cprof_baseline_teller_tiny(teller, row, 1, absent);
		else
			err = cprof_baseline_teller_block(teller, row, addr, page->block_bytes,
							  absent);
	}
	const uint64_t top = page->first + page->capacity * page->block_bytes;
	cprof_baseline_teller_place(teller, CPROF_BASELINE_OWN, 0, page->start, page->first);
	cprof_baseline_teller_place(teller, CPROF_BASELINE_TOP, 0, top, page->end);
	return err;
}

struct round {
	struct reading *reading;
	uint64_t key;
	struct cprof_error *(*page)(struct reading *reading, struct cprof_mimalloc_page *page);
	bool counts; /* segments and what is no page, too */
	struct cprof_error *err;
};

static struct cprof_error *note_heap(struct reading *reading, struct cprof_mimalloc_page *page)
{
	bool fresh;
	if (!page->in_use || !page->heap)
		return NULL;
	if (!cprof_map64_put(&reading->heaps, page->heap, &fresh))
		return cprof_error_no_memory();
	return fresh ? cprof_mimalloc_heap_delayed(reading->teller.memory, page->heap, page->form,
						   &reading->delayed)
		     : NULL;
}

static bool on_segment(void *ctx, struct cprof_mimalloc_segment *segment)
{
	struct round *round = ctx;
	struct reading *reading = round->reading;
	struct cprof_mimalloc_page page;
	unsigned entry = (unsigned)(segment->heads / CPROF_MIMALLOC_SLICE);
	uint64_t done = segment->addr;
	if (segment->key != round->key)
		return false;
	if (round->counts) {
		round->err = cprof_baseline_teller_range(&reading->teller, segment->addr,
							 segment->addr + segment->bytes);
		done += segment->heads;
		cprof_baseline_teller_place(&reading->teller, CPROF_BASELINE_OWN, 0, segment->addr,
					    done);
	}
	while (!round->err && segment->used && cprof_mimalloc_page_next(segment, &entry, &page)) {
		round->err = round->page(reading, &page);
		done = page.end;
	}
	if (!round->counts || done >= segment->addr + segment->bytes)
		return round->err;
	/* A segment without pages is kept for the next time; in another one this is where an entry cannot be. */
	reading->broken += segment->used;
	cprof_baseline_teller_place(&reading->teller,
				    segment->used ? CPROF_BASELINE_UNTOLD : CPROF_BASELINE_FREE, 0,
				    done, segment->addr + segment->bytes);
	return round->err;
}

static struct cprof_error *read_segments(const struct cprof_baseline_target *target,
					 struct reading *reading, uint64_t key)
{
	struct round rounds[] = {
		{ .reading = reading, .key = key, .page = note_heap },
		{ .reading = reading, .key = key, .page = read_page, .counts = true },
	};
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < sizeof(rounds) / sizeof(rounds[0]); i++) {
		each_segment(target, &reading->segment, on_segment, &rounds[i]);
		err = rounds[i].err;
	}
	return err;
}

/* ---- the map of 3 ---- */

/* What is left of the arena that the pages so far were in; the next one, if any, begins at `next`. */
static void end_arena(struct reading *reading)
{
	if (reading->done < reading->arena.end)
		cprof_baseline_teller_place(&reading->teller, CPROF_BASELINE_FREE, 0, reading->done,
					    reading->arena.end);
	reading->arena = (struct cprof_mimalloc_arena){ 0 };
}

static struct cprof_error *begin_arena(struct reading *reading,
				       const struct cprof_mimalloc_arena *arena)
{
	reading->arena = *arena;
	reading->done = arena->start + arena->heads;
	cprof_baseline_teller_place(&reading->teller, CPROF_BASELINE_OWN, 0, arena->start,
				    reading->done);
	return cprof_baseline_teller_range(&reading->teller, arena->start, arena->end);
}

static struct cprof_error *on_map_page(void *ctx, struct cprof_mimalloc_page *page,
				       const struct cprof_mimalloc_arena *arena)
{
	struct reading *reading = ctx;
	struct cprof_error *err = NULL;
	const bool same = arena && arena->start == reading->arena.start;
	/* What begins in memory that was given out already cannot be right, nor what ends outside. */
	if (page->start < reading->done || (!same && page->start < reading->arena.end) ||
	    (arena && page->end > arena->end) ||
	    (!same && arena && arena->start < reading->arena.end)) {
		reading->broken++;
		return NULL;
	}
	if (!same)
		end_arena(reading);
	if (!same && arena)
		err = begin_arena(reading, arena);
	else if (!arena)
		err = cprof_baseline_teller_range(&reading->teller, page->start, page->end);
	if (arena)
		cprof_baseline_teller_place(&reading->teller, CPROF_BASELINE_FREE, 0, reading->done,
					    page->start);
	reading->done = page->end;
	return err ? err : read_page(reading, page);
}

static struct cprof_error *read_map(struct reading *reading, const struct cprof_mimalloc_map *map)
{
	uint64_t broken;
	struct cprof_error *err =
		cprof_mimalloc_map_each(reading->teller.memory, map, on_map_page, reading, &broken);
	end_arena(reading);
	reading->broken += broken;
	return err;
}

static struct cprof_error *read_all(const struct cprof_baseline_target *target, void *place_,
				    struct cprof_baseline_account *account)
{
	const struct place *place = place_;
	struct reading *reading = calloc(1, sizeof(*reading));
	if (!reading)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_baseline_teller_init(&reading->teller, target->memory,
							     account, cprof_baseline_mimalloc.name);
	if (!err)
		err = place->map.addr ? read_map(reading, &place->map)
				      : read_segments(target, reading, place->key);
	if (!err)
		cprof_baseline_teller_totals(&reading->teller)->resyncs += reading->broken;
	cprof_baseline_teller_deinit(&reading->teller);
	cprof_map64_deinit(&reading->heaps);
	cprof_map64_deinit(&reading->delayed);
	free(reading);
	return err;
}

const struct cprof_baseline_source cprof_baseline_mimalloc = {
	.name = "mimalloc",
	.find = find,
	.read = read_all,
};
