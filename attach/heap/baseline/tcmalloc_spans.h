/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/tcmalloc_spans.h - the spans of gperftools' tcmalloc.
 *
 * The page map has two levels: the root is a variable of 2^17 words, each leaf has 2^18, a word for each page of 8 KiB: the address of the
 * span that has the page. A span says itself which pages it has, so the map is found by its form and proves itself, as jemalloc's
 * does. The central lists of the classes (tcmalloc_caches.h) are found by the numbers of all classes, which stand in them in order.
 *
 * Source of truth: gperftools 2.10, src/span.h, src/pagemap.h, src/central_freelist.h; x86-64 with 48 address bits and pages of 8 KiB. All
 * that is read is hostile.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_TCMALLOC_SPANS_H
#define CPROF_ATTACH_HEAP_BASELINE_TCMALLOC_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"

#define CPROF_TCMALLOC_PAGE       ((uint64_t)8192)
#define CPROF_TCMALLOC_ROOT_BYTES ((uint64_t)8 << 17)
#define CPROF_TCMALLOC_LEAF_BYTES ((uint64_t)8 << 18)
#define CPROF_TCMALLOC_CLASSES    128        /* at most */
#define CPROF_TCMALLOC_BLOCKS     (1u << 16) /* of a span, less than */

/* CentralFreeList, with what pads it to lines of the processor's cache. */
struct cprof_tcmalloc_central {
	uint64_t lock, class;
	uint64_t empty[6], nonempty[6];
	uint64_t n_spans, counter;
	uint64_t slots[64][2]; /* chains of blocks: first and last */
	int32_t n_slots, cache, most, pad[13];
};
_Static_assert(sizeof(struct cprof_tcmalloc_central) == 1216, "CentralFreeListPadded");

struct cprof_tcmalloc {
	uint64_t start, end; /* of the variables that all of it was found in */
	uint64_t root;       /* of the page map */
	uint64_t central;    /* the list of class 0; 0: not found */
	unsigned n_classes;
	uint32_t bytes[CPROF_TCMALLOC_CLASSES]; /* of a block of each class; class 0 is none */
};

enum cprof_tcmalloc_use {
	CPROF_TCMALLOC_IN_USE,
	CPROF_TCMALLOC_FREE,
	CPROF_TCMALLOC_RETURNED, /* free, its pages given back to the kernel */
};

struct cprof_tcmalloc_span {
	uint64_t start, bytes;
	uint64_t objects;       /* the first free block */
	unsigned n_used, class; /* class 0: one large block */
	enum cprof_tcmalloc_use use;
	bool sampled; /* one block, and `objects` is the address of its stack (tcmalloc_stacks.h) */
};

/* In variables [start, end); false: not here. */
bool cprof_tcmalloc_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			 struct cprof_tcmalloc *ret_tcmalloc);

struct cprof_tcmalloc_fns {
	struct cprof_error *(*span)(void *ctx, const struct cprof_tcmalloc_span *span);
	struct cprof_error *(*leaf)(void *ctx, uint64_t start, uint64_t end); /* of the map */
};

/* All spans and leaves by address. *ret_broken: words that lead to no span. Errors: NO_MEMORY, and those of `fns`. */
struct cprof_error *cprof_tcmalloc_spans(struct cprof_baseline_memory *memory,
					 const struct cprof_tcmalloc *tcmalloc,
					 const struct cprof_tcmalloc_fns *fns, void *ctx,
					 uint64_t *ret_broken);

/* A bit set in `free` for each block of the span that its own list has. False: the list cannot be. */
bool cprof_tcmalloc_span_free(struct cprof_baseline_memory *memory,
			      const struct cprof_tcmalloc *tcmalloc,
			      const struct cprof_tcmalloc_span *span, uint64_t *free,
			      unsigned *ret_n);

#endif
