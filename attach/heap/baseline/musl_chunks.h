/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/musl_chunks.h - the chunks of musl's older malloc (oldmalloc: musl up to 1.2.0, later ones if built so).
 *
 * A chunk begins with the size word of the one before it and its own; the lowest bit says "in use", and both of its neighbours
 * have the same word for it. So memory proves itself at each step. An area (brk's, or mapped) begins and ends with a
 * chunk of size 0; a large block is a mapping by itself. Free chunks are in 64 rings whose heads, among musl's variables, are
 * their own neighbours where a ring is empty: so it is known that this malloc is there.
 *
 * Source of truth: musl 1.2.2, src/malloc/oldmalloc/malloc_impl.h, src/malloc/oldmalloc/malloc.c. All that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_MUSL_CHUNKS_H
#define CPROF_ATTACH_HEAP_BASELINE_MUSL_CHUNKS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"

#define CPROF_MUSL_OLD_HEADER ((uint64_t)16) /* from a chunk to the program's bytes */
#define CPROF_MUSL_OLD_UNIT   ((uint64_t)32) /* of sizes */

/* Are the rings of free chunks among the variables [start, end)? */
bool cprof_musl_rings_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end);

enum cprof_musl_chunk_kind {
	CPROF_MUSL_USED,
	CPROF_MUSL_FREE,
	CPROF_MUSL_BROKEN, /* what could not be told, up to where it goes on */
	CPROF_MUSL_ENDS,   /* the beginning and end of an area */
};

struct cprof_musl_chunk {
	enum cprof_musl_chunk_kind kind;
	uint64_t addr, bytes; /* of the chunk, its header included; of a large block the mapping */
	bool mapped;          /* a mapping by itself, whose header is CPROF_MUSL_OLD_UNIT */
};

/* Each chunk by address, and each area when all of it was told. An error ends it. */
struct cprof_musl_chunk_fns {
	struct cprof_error *(*chunk)(void *ctx, const struct cprof_musl_chunk *chunk);
	struct cprof_error *(*area)(void *ctx, uint64_t start, uint64_t end);
};

/*
 * The areas and large blocks in the memory [start, end), which is private and of no file. *budget: pages and places that may
 * still be looked at for where something begins.
 */
struct cprof_error *cprof_musl_chunks_each(struct cprof_baseline_memory *memory, uint64_t start,
					   uint64_t end, const struct cprof_musl_chunk_fns *fns,
					   void *ctx, uint64_t *budget);

#endif
