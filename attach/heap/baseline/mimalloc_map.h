/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/mimalloc_map.h - the pages of mimalloc 3, by the map in which it finds the page of an address.
 *
 * A variable of mimalloc has the address of a table of 2^18 words, which may have a head; each is of a table of 2^13 words, one for
 * each 64 KiB (a slice), and that is the address of the page (mi_page_t) which has it. A page says itself where its blocks begin, so
 * the map proves itself. A page also says in which arena it is and how far from its beginning, and the arena how large it is;
 * where in their structures they say that differs between versions, but only one place can fit.
 *
 * Source of truth: mimalloc 3.3.2, include/mimalloc/types.h, src/page-map.c; of 3.0.1 and 3.6.0 the memory of processes with
 * Debian's library. Built for release (no encoded lists, no padding). All that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_MIMALLOC_MAP_H
#define CPROF_ATTACH_HEAP_BASELINE_MIMALLOC_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/mimalloc_segments.h"
#include "cprof/error.h"

struct cprof_mimalloc_arena {
	uint64_t start, end;
	uint64_t heads; /* bytes of it that its head takes */
};

#define CPROF_MIMALLOC_MAP_FORMS 2

struct cprof_mimalloc_map {
	uint64_t addr; /* of the first word; 0: there is none */
	unsigned form; /* row of the table of versions */
};

/* The map whose address is among the variables [start, end); false: not here. */
bool cprof_mimalloc_map_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			     struct cprof_mimalloc_map *ret_map);

/*
 * All pages, by address; none begins before the one before it has ended. `arena` is NULL for a page by itself. An error of `fn`
 * ends the walk and is passed on. *ret_broken: entries that led to no page that can be. At most 16 Mi pages.
 */
typedef struct cprof_error *cprof_mimalloc_map_fn(void *ctx, struct cprof_mimalloc_page *page,
						  const struct cprof_mimalloc_arena *arena);
struct cprof_error *cprof_mimalloc_map_each(struct cprof_baseline_memory *memory,
					    const struct cprof_mimalloc_map *map,
					    cprof_mimalloc_map_fn *fn, void *ctx,
					    uint64_t *ret_broken);

#endif
