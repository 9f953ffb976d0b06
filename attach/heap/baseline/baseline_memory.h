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
#define CPROF_BASELINE_PAGE ((uint64_t)4096)

struct cprof_baseline_pages;

struct cprof_baseline_memory {
	struct cprof_memory memory; /* borrowed: the live process */
	int pagemap_fd;             /* owned; -1: all pages count as being there */
	uint8_t *block;             /* owned; the bytes of [block_addr, block_addr + block_bytes) */
	uint64_t block_addr;
	size_t block_bytes;
	struct cprof_baseline_pages *pages; /* owned; which pages are there, as asked so far */
	uint64_t reads, bytes_read;         /* system calls made, and what they brought */
	uint64_t asked_left; /* pages that cprof_baseline_memory_absent() may still be asked for */
	unsigned moving;     /* times that a page was asked for again that was on its way */
};

/* `pid` 0: no pagemap. False: no memory. */
bool cprof_baseline_memory_init(struct cprof_baseline_memory *memory, pid_t pid,
				struct cprof_memory view);
void cprof_baseline_memory_deinit(struct cprof_baseline_memory *memory);

/*
 * At least `n` (at most CPROF_BASELINE_BLOCK / 2) bytes at `addr`, valid until the next call; NULL where one of their
 * pages is not in memory or cannot be read. Meant for going through memory upwards: a block is read ahead, up to `end`.
 */
const uint8_t *cprof_baseline_memory_at(struct cprof_baseline_memory *memory, uint64_t addr,
					size_t n, uint64_t end);

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
