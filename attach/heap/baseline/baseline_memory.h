/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_memory.h - a heap's memory in big blocks, and only what is there.
 *
 * Reading a page that was never touched would make the kernel map one, reading a swapped one would bring it back: both are
 * traces in the target. /proc/PID/pagemap tells which pages are in memory; only those are read, the others are told apart.
 *
 * Source of truth: Linux Documentation/admin-guide/mm/pagemap.rst.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_MEMORY_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/memory.h"

#define CPROF_BASELINE_BLOCK                                                                       \
	((size_t)256 << 10) /* bytes read at once: they stay in the processor's cache */
#define CPROF_BASELINE_PAGE    ((uint64_t)4096)
#define CPROF_BASELINE_WINDOWS 6 /* places at which somebody may go on: size classes lie apart */

struct cprof_baseline_pages;

struct cprof_baseline_memory {
	struct cprof_memory memory; /* borrowed: the live process */
	int pagemap_fd;             /* owned; -1: all pages count as being there */
	struct cprof_baseline_window {
		uint8_t *bytes; /* owned, CPROF_BASELINE_BLOCK; NULL: not used yet */
		uint64_t addr;
		size_t n;       /* bytes of [addr, addr + n) are in it */
		size_t ahead;   /* that were to be read last */
		uint64_t asked; /* when, in reads */
	} windows[CPROF_BASELINE_WINDOWS];
	unsigned window;                    /* the one used last */
	struct cprof_baseline_pages *pages; /* owned; which pages are there, as asked so far */
	uint64_t reads, bytes_read;         /* system calls made, and what they brought */
	uint64_t asked_left; /* pages that cprof_baseline_memory_absent() may still be asked for */
	uint64_t left;       /* looks that may still be had: cprof_baseline_memory_limit() */
	unsigned moving;     /* times that a page was asked for again that was on its way */
};

/* `pid` 0: no pagemap. False: no memory. */
bool cprof_baseline_memory_init(struct cprof_baseline_memory *memory, pid_t pid,
				struct cprof_memory view);
void cprof_baseline_memory_deinit(struct cprof_baseline_memory *memory);

/*
 * From now on at most `looks` are had, of some 2 µs each: a read is one, asking which pages of 32 MiB are there 16; then nothing
 * can be read and no page is there. UINT64_MAX, as at first: without end. For whoever looks for something among words that a process may have put there
 * to lead anywhere.
 */
void cprof_baseline_memory_limit(struct cprof_baseline_memory *memory, uint64_t looks);

/* Was that not enough? */
static inline bool cprof_baseline_memory_spent(const struct cprof_baseline_memory *memory)
{
	return !memory->left;
}

/* What was read so far is read anew from now on. */
void cprof_baseline_memory_forget(struct cprof_baseline_memory *memory);

/*
 * At least `n` (at most CPROF_BASELINE_BLOCK / 2) bytes at `addr`, valid until the next call; NULL where one of their
 * pages is not in memory or cannot be read. Meant for going through memory upwards: more and more is read ahead, up to `end`.
 */
const uint8_t *cprof_baseline_memory_at(struct cprof_baseline_memory *memory, uint64_t addr,
					size_t n, uint64_t end);

/*
 * Have [start, end) at hand as a whole, if it is at most CPROF_BASELINE_BLOCK / 2 and all there: for who looks at it in no order,
 * by cprof_baseline_memory_at(). The next places may be read with it, up to `upto`.
 */
static inline void cprof_baseline_memory_hold(struct cprof_baseline_memory *memory, uint64_t start,
					      uint64_t end, uint64_t upto)
{
	if (end > start)
		cprof_baseline_memory_at(memory, start, (size_t)(end - start), upto);
}

/* What was read with that already from `addr` on, without reading: *ret_n bytes, up to `end`, valid as above; NULL and 0: nothing. */
static inline const uint8_t *
cprof_baseline_memory_at_hand(const struct cprof_baseline_memory *memory, uint64_t addr,
			      uint64_t end, size_t *ret_n)
{
	const struct cprof_baseline_window *window = &memory->windows[memory->window];
	const uint64_t at = addr - window->addr;
	*ret_n = 0;
	if (at >= window->n || addr >= end)
		return NULL;
	*ret_n = (size_t)(window->n - at < end - addr ? window->n - at : end - addr);
	return window->bytes + at;
}

/* Exactly `n` bytes, here and there; false where they cannot be read or are not in memory. */
bool cprof_baseline_memory_read(struct cprof_baseline_memory *memory, uint64_t addr, void *buf,
				size_t n);

/* Is the page of `addr` in memory? As it was when its neighbourhood was asked about first. */
bool cprof_baseline_memory_present(struct cprof_baseline_memory *memory, uint64_t addr);

/* How many bytes of [start, end) are in pages that are not in memory; once more than 1 TiB was asked for, all. */
uint64_t cprof_baseline_memory_absent(struct cprof_baseline_memory *memory, uint64_t start,
				      uint64_t end);

/* The first page from `addr` on that is in memory; `end` where there is none before. */
uint64_t cprof_baseline_memory_next(struct cprof_baseline_memory *memory, uint64_t addr,
				    uint64_t end);

#endif
