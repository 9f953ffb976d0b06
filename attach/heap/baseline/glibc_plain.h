/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_plain.h - chunks of glibc's as nearly all of them are, many at once.
 *
 * A gigabyte of small blocks is ten million chunks. Most are plain: they fit, are small, of a row that is known already, and lie in memory that was
 * read with those before them. These are gone through in one loop that calls nobody; the first that is not plain ends it,
 * and is for who looks closely (glibc_walk.h). Nothing is believed here that is not checked there.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_PLAIN_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_PLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "attach/heap/baseline/glibc_layout.h"
#include "attach/heap/baseline/glibc_rows.h"

#define CPROF_GLIBC_LOOK 24u /* bytes of a chunk: both sizes and the first word */
#define CPROF_GLIBC_LARGE                                                                          \
	8192u /* chunks from which on it is asked which of their pages are there */

struct cprof_glibc_chunk {
	uint64_t addr, size, word;
	unsigned flags;
	uint64_t prev_size;
};

/* On the way from chunk to chunk. */
struct cprof_glibc_way {
	struct cprof_glibc_chunk chunk; /* the last one, not closed yet; size 0: none */
	uint64_t at;                    /* the next one */
};

/* Where a chunk cannot be plain: what is at these places, or reaches that far, is for others. */
struct cprof_glibc_bounds {
	uint64_t top;         /* no chunk at it, */
	uint64_t end;         /* none that reaches it, */
	uint64_t least, most; /* and none that begins outside [least, most) */
	bool main;            /* of the main arena: chunks have not the other arenas' flag */
};

/* What was counted of chunks that are closed. */
struct cprof_glibc_plain {
	uint64_t own_bytes; /* headers of those in use */
	uint64_t free, free_bytes;
	uint64_t conflicts; /* free ones whose size is not what the next one says */
};

/* The sizes that chunks of a thread's cache have: tcache_perthread_struct of 2.28, 2.30, 2.42. */
static inline bool cprof_glibc_is_cache_size(uint64_t size)
{
	return size == 0x250 || size == 0x290 || size == 0x300;
}

static inline void cprof_glibc_chunk_take(struct cprof_glibc_chunk *chunk, uint64_t addr,
					  const uint8_t *bytes, size_t n)
{
	uint64_t size;
	memcpy(&chunk->prev_size, bytes, 8);
	memcpy(&size, bytes + 8, 8);
	chunk->word = 0;
	if (n >= CPROF_GLIBC_LOOK)
		memcpy(&chunk->word, bytes + 16, 8);
	chunk->addr = addr;
	chunk->flags = size & CPROF_GLIBC_FLAGS;
	chunk->size = size - chunk->flags;
}

/*
 * On from way->at, where `n` bytes are at hand; the way goes on behind what was plain. Blocks in use are put into the account, the rest
 * into *ret_plain. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_glibc_plain_go(struct cprof_glibc_rows *rows,
					 const struct cprof_glibc_bounds *bounds,
					 const uint8_t *bytes, size_t n,
					 struct cprof_glibc_way *way,
					 struct cprof_glibc_plain *ret_plain);

#endif
