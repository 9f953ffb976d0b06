/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_layout.h - how glibc's malloc (2.28 to 2.43, 64 bits) lays out its memory: numbers, no process.
 *
 * A chunk begins with the size of the one before it (valid only if that is free) and its own size, whose lowest bits are
 * flags; the program gets what begins 16 bytes after that, up to the size word of the next chunk. Whether a chunk is in use
 * is told by the next one. An arena's last chunk is `top`. Arenas but the main one live in heaps, aligned to 64 MiB,
 * which begin with a heap_info.
 *
 * Source of truth: glibc's malloc: "struct malloc_state", "struct malloc_chunk", "tcache_perthread_struct", "heap_info"; the GNU C Library wiki, "MallocInternals".
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_LAYOUT_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

enum {
	CPROF_GLIBC_PREV_IN_USE = 1,
	CPROF_GLIBC_MAPPED = 2,      /* a mapping of its own */
	CPROF_GLIBC_OTHER_ARENA = 4, /* in use, and not the main arena's */
	CPROF_GLIBC_FLAGS = 7,
	CPROF_GLIBC_HEADER = 16, /* from a chunk to the program's bytes */
	CPROF_GLIBC_ALIGN = 16,
	CPROF_GLIBC_SMALLEST = 32,
	CPROF_GLIBC_FENCE = 16, /* the size of what ends an area whose arena goes on elsewhere */
};

/*
 * struct malloc_state, from 2.27 to 2.42. Since 2.43 there are no fastbins and what counts them: what comes behind them,
 * and the whole, begins and ends by CPROF_GLIBC_ARENA_SHORTER earlier.
 */
enum {
	CPROF_GLIBC_ARENA_SHORTER = 88,
	CPROF_GLIBC_ARENA_FLAGS = 4, /* of 32 bits; 2: its memory is not all one piece */
	CPROF_GLIBC_ARENA_FASTBINS = 16,
	CPROF_GLIBC_N_FASTBINS = 10,
	CPROF_GLIBC_ARENA_TOP = 96,
	CPROF_GLIBC_ARENA_BINS = 112,
	CPROF_GLIBC_N_BINS = 127, /* two words each */
	CPROF_GLIBC_ARENA_NEXT = 2160,
	CPROF_GLIBC_ARENA_SYSTEM = 2184,
	CPROF_GLIBC_ARENA_SYSTEM_MOST = 2192,
	CPROF_GLIBC_ARENA_BYTES = 2200,
};

#define CPROF_GLIBC_HEAP_ALIGN ((uint64_t)64 << 20)
/* sizeof(heap_info) until 2.34, and since 2.35. */
#define CPROF_GLIBC_HEAP_INFO_OLD ((uint64_t)32)
#define CPROF_GLIBC_HEAP_INFO_NEW ((uint64_t)48)

struct cprof_glibc_heap_info {
	uint64_t arena, prev, size, writable;
};

static inline uint64_t cprof_glibc_heap_of(uint64_t addr)
{
	return addr & ~(CPROF_GLIBC_HEAP_ALIGN - 1);
}

static inline uint64_t cprof_glibc_aligned(uint64_t addr)
{
	return (addr + CPROF_GLIBC_ALIGN - 1) & ~(uint64_t)(CPROF_GLIBC_ALIGN - 1);
}

/* malloc_usable_size() of a chunk in use. */
static inline uint64_t cprof_glibc_usable(uint64_t size, bool mapped)
{
	return size - (mapped ? CPROF_GLIBC_HEADER : CPROF_GLIBC_HEADER / 2);
}

/* A link of a list of free blocks at `addr`, as stored since 2.32: the way there and back are the same. */
static inline uint64_t cprof_glibc_reveal(uint64_t addr, uint64_t stored)
{
	return (addr >> 12) ^ stored;
}

#endif
