/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/mmap/mapped_set.h - what of the address space was mapped by which call, while parts of it come and go. Pure.
 *
 * Pieces do not overlap: what is mapped later takes the place of what was there (MAP_FIXED), and unmapping the middle of a
 * piece leaves two of the same call. Which calls these are, and what they count for, is the caller's.
 */
#ifndef CPROF_ATTACH_HEAP_MMAP_MAPPED_SET_H
#define CPROF_ATTACH_HEAP_MMAP_MAPPED_SET_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

struct cprof_mapped_set {
	struct cprof_mapped_piece {
		uint64_t start, end; /* [start, end) of the target */
		uint32_t call;       /* the caller's number */
	} * pieces;                  /* owned; by start */
	size_t n, cap;
};

void cprof_mapped_set_deinit(struct cprof_mapped_set *set);

/* An empty range, or one that goes round the end of the address space, changes nothing. Errors: NO_MEMORY; then nothing is changed. */
struct cprof_error *cprof_mapped_set_add(struct cprof_mapped_set *set, uint64_t start, uint64_t end,
					 uint32_t call);
struct cprof_error *cprof_mapped_set_remove(struct cprof_mapped_set *set, uint64_t start,
					    uint64_t end);

#endif
