/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_walk.h - from chunk to chunk through the memory of glibc's arenas.
 *
 * The program runs on meanwhile and may have written anywhere: a size is believed only where it fits its area and flags.
 * Where one does not, the next place is looked for from which several chunks in a row fit; what lies between is UNTOLD, and
 * counts as the error. Chunks in the lists of caches look as if they were in use: glibc_lists.h takes them out afterwards.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_WALK_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_account.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/glibc_place.h"
#include "attach/heap/baseline/glibc_plain.h"
#include "attach/heap/baseline/glibc_rows.h"

/* What a walk of one process carries along. */
struct cprof_glibc_walk {
	const struct cprof_baseline_target *target; /* borrowed, as the next two */
	struct cprof_glibc_place *place;
	struct cprof_baseline_account *account;
	uint32_t allocator;
	struct cprof_glibc_rows rows;
	uint64_t *caches; /* owned; chunks that may be a thread's cache, by their size */
	uint32_t n_caches, cap_caches;
	uint64_t *anchors; /* owned; chunks, one in each stretch of memory, to be looked at again */
	uint32_t n_anchors, cap_anchors;
	uint64_t next_anchor;
	uint64_t budget;    /* looks left for a place to go on from */
	uint64_t conflicts; /* things that fit only at different moments */
};

/* Errors here and below: NO_MEMORY. */
struct cprof_error *cprof_glibc_walk_area(struct cprof_glibc_walk *walk,
					  const struct cprof_glibc_area *area);
void cprof_glibc_walk_deinit(struct cprof_glibc_walk *walk);

/* Does a piece of the main arena begin at `addr`, in memory that ends at `end`? */
bool cprof_glibc_walk_is_piece(struct cprof_glibc_walk *walk, uint64_t addr, uint64_t end);

/*
 * After all areas, before lists are taken out: look at some chunks again, and take what has changed since for the share that may be
 * wrong of all.
 */
void cprof_glibc_walk_look_again(struct cprof_glibc_walk *walk);

/* A chunk in use: into its row; `absent` bytes of it are not in memory. */
struct cprof_error *cprof_glibc_walk_block(struct cprof_glibc_walk *walk, uint64_t chunk,
					   uint64_t size, bool mapped, uint64_t word);

#endif
