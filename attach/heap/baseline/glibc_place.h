/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_place.h - which arenas (glibc_arena.h) glibc's malloc has in a process, and which memory is theirs.
 *
 * The main arena is found by its form in the C library's (a static program's) writable data: lists that point to
 * themselves. No symbols are needed; where that fails, the headers of heaps lead to an arena, and from each arena a ring of
 * links leads to all, and last the symbol main_arena is asked for.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_PLACE_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/glibc_arena.h"
#include "attach/heap/baseline/glibc_layout.h"

#define CPROF_GLIBC_ARENAS_MAX 8192u

/* Memory that holds one chunk after the other: [start, end). */
struct cprof_glibc_area {
	uint64_t start, end;
	uint64_t head; /* bytes before `start` that are the arena's own */
	uint32_t arena;
	bool start_known; /* a chunk begins at `start`; else the first one must be looked for */
	bool piece;       /* what follows behind its fences is another's */
};

struct cprof_glibc_place {
	struct cprof_glibc_arena *arenas; /* owned */
	uint32_t n_arenas, cap_arenas;
	struct cprof_glibc_area *areas; /* owned; by address, they do not overlap */
	uint32_t n_areas, cap_areas;
	bool more_arenas; /* than are looked at */
};

/* Errors: NO_MEMORY. No arenas: there is no malloc of glibc, or it was never called. */
struct cprof_error *cprof_glibc_place_find(const struct cprof_baseline_target *target,
					   struct cprof_glibc_place *ret_place);
void cprof_glibc_place_deinit(struct cprof_glibc_place *place);

/* One more, found while the others were walked; cprof_glibc_place_sort() when all are there. Errors: NO_MEMORY. */
struct cprof_error *cprof_glibc_place_add(struct cprof_glibc_place *place,
					  const struct cprof_glibc_area *area);
void cprof_glibc_place_sort(struct cprof_glibc_place *place);

/* The number of the main arena; n_arenas: there is none. */
uint32_t cprof_glibc_place_main(const struct cprof_glibc_place *place);

/* The area that holds `addr`, or NULL. */
const struct cprof_glibc_area *cprof_glibc_place_area(const struct cprof_glibc_place *place,
						      uint64_t addr);

#endif
