/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/mimalloc_segments.h - the segments, pages and blocks of mimalloc 2.0 to 2.3.
 *
 * A segment is 32 MiB (or one huge block) at a multiple of that, with a head that has an entry for each 64 KiB. The entry where a page
 * begins says how large its blocks are and how many of them are in use; free ones are in lists that go through them. A
 * segment proves itself: its cookie, less its own address, is a random word that is the same for all of them and stands among the
 * variables of mimalloc.
 *
 * Source of truth: mimalloc 2.0.9, 2.1.2, 2.1.7 and 2.3.2, include/mimalloc/types.h, built for release as Debian has it (no encoded lists, no padding). All that
 * is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_MIMALLOC_SEGMENTS_H
#define CPROF_ATTACH_HEAP_BASELINE_MIMALLOC_SEGMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_MIMALLOC_SEGMENT ((uint64_t)32 << 20)
#define CPROF_MIMALLOC_SLICE   ((uint64_t)64 << 10)
#define CPROF_MIMALLOC_SLICES  512
#define CPROF_MIMALLOC_FORMS   3
#define CPROF_MIMALLOC_BLOCKS  (1u << 16) /* of a page, less than */

struct cprof_mimalloc_segment {
	uint64_t addr, bytes;
	uint64_t key;   /* its cookie, less its address */
	uint64_t heads; /* bytes of it that its head takes */
	unsigned n_entries;
	unsigned form; /* row of the table of versions */
	bool used;
	uint8_t entries[CPROF_MIMALLOC_SLICES * 96]; /* as they are in memory */
};

struct cprof_mimalloc_page {
	uint64_t start, end; /* whole slices */
	uint64_t block_bytes;
	uint64_t first;            /* address of its first block */
	unsigned capacity;         /* blocks that were ever ready for use, */
	unsigned used;             /* and of these not in the owner's free lists */
	uint64_t free, local_free; /* heads of lists, */
	uint64_t thread_free;      /* and that of blocks that other threads gave back */
	uint64_t heap;
	unsigned form;
	bool first_known; /* `first` stands in the entry; else it is where most have it */
	bool in_use;      /* false: free slices */
};

/* Is there a segment at `addr`, by its form? Its key is to be proved. */
bool cprof_mimalloc_segment_read(struct cprof_baseline_memory *memory, uint64_t addr,
				 struct cprof_mimalloc_segment *ret_segment);

/*
 * The page, or the free slices, that begin at entry `*entry`, which goes on to the next ones; the first are at the end of the
 * head. False: no more, or what stands there cannot be; *ret_end is as far as it went.
 */
bool cprof_mimalloc_page_next(const struct cprof_mimalloc_segment *segment, unsigned *entry,
			      struct cprof_mimalloc_page *ret_page);

/*
 * A bit set in `free` for each block of the page, up to its capacity, that is in one of its lists; the number of these. Sets page->first by
 * them if they tell. False: a list leads out of the page, or in a ring, or cannot be read.
 */
bool cprof_mimalloc_page_free(struct cprof_baseline_memory *memory,
			      struct cprof_mimalloc_page *page, uint64_t *free, unsigned *ret_n);

/*
 * Blocks that other threads gave back to a heap, for its owner to put into their pages: added to `delayed` as keys. At most
 * 65,536 of a heap. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_mimalloc_heap_delayed(struct cprof_baseline_memory *memory, uint64_t heap,
						unsigned form, struct cprof_map64 *delayed);

#endif
