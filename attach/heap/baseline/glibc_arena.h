/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_arena.h - an arena of glibc's malloc, known by its form: lists that point to themselves.
 *
 * There are two forms (glibc_layout.h). The bytes of one look like the other's at another place, as far as an arena alone goes;
 * what its ring of arenas leads to tells them apart.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_ARENA_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_ARENA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/glibc_layout.h"

struct cprof_glibc_arena {
	uint64_t addr, top, next, system_bytes;
	uint64_t shorter; /* CPROF_GLIBC_ARENA_SHORTER, or 0: which form it has */
	uint64_t fastbins[CPROF_GLIBC_N_FASTBINS]; /* 0 where the form has none */
	bool main;
	bool in_pieces;  /* it has memory outside brk's */
	uint32_t number; /* by age, 0 the main one: set by who knows all */
};

/* Of the `n` bytes at `addr`: do they look like an arena of either form? Quick; find() is asked then. */
bool cprof_glibc_may_be_arena(uint64_t addr, const uint8_t *bytes, size_t n);

/* Is there an arena at `addr`? Which form it has is told by the next one of its ring, so that is looked at as well. */
bool cprof_glibc_arena_find(struct cprof_baseline_memory *memory, uint64_t addr,
			    struct cprof_glibc_arena *ret_arena);

/* Read an arena's words again: false where it is not there any more. */
bool cprof_glibc_arena_read(struct cprof_baseline_memory *memory, struct cprof_glibc_arena *arena);

/* Is that where an arena that is not the main one lies, in the heap that was made for it? */
bool cprof_glibc_is_in_heap(uint64_t addr);

#endif
