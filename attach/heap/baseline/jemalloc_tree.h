/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/jemalloc_tree.h - jemalloc 5.3's extents, by the tree in which it finds the extent of an address.
 *
 * The tree has two levels of 2^18 words: the root is a variable of jemalloc, each leaf covers 1 GiB with a word a
 * page. A word
 * of a leaf is the address of the extent's descriptor, with the size class in the top 16 bits and flags in the low 5. A
 * descriptor says itself where its extent is, so the tree is found by its form and proves itself: a word in the variables
 * that leads to a leaf, a word there to a descriptor, and that to the page the word stands for, in the place of the
 * root that belongs to it.
 *
 * Source of truth: jemalloc 5.3.0, include/jemalloc/internal/rtree.h, include/jemalloc/internal/edata.h,
 * include/jemalloc/internal/slab_data.h, include/jemalloc/internal/sc.h, include/jemalloc/internal/base_structs.h;
 * x86-64 with 48
 * address bits and pages of 4 KiB. What is read is hostile; nothing is assumed of it but what is checked.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_TREE_H
#define CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "cprof/error.h"

#define CPROF_JEMALLOC_ROOT_BYTES ((uint64_t)8 << 18)
#define CPROF_JEMALLOC_BINS       36 /* size classes that come in slabs: up to 14 KiB */
#define CPROF_JEMALLOC_CLASSES    232
#define CPROF_JEMALLOC_REGIONS    512 /* of a slab, at most */

enum cprof_jemalloc_state {
	CPROF_JEMALLOC_ACTIVE,
	CPROF_JEMALLOC_DIRTY,    /* free, its pages as they were */
	CPROF_JEMALLOC_MUZZY,    /* free, its pages given back as far as the kernel wants them */
	CPROF_JEMALLOC_RETAINED, /* free, address space only */
				 /* more: on its way from one to the other */
};

struct cprof_jemalloc_extent {
	uint64_t descriptor;  /* where it is described */
	uint64_t start, size; /* whole pages */
	uint64_t block;       /* what the program has of a large one: in the first page */
	unsigned arena, class, state, n_free;
	bool slab;
	uint64_t free[CPROF_JEMALLOC_REGIONS / 64]; /* of a slab: bit set, free region */
};

/* Usable bytes of a block of size class `class` (below CPROF_JEMALLOC_CLASSES). */
uint64_t cprof_jemalloc_class_bytes(unsigned class);

/* The root within [start, end), which are variables; 0: not here. */
uint64_t cprof_jemalloc_tree_find(struct cprof_baseline_memory *memory, uint64_t start,
				  uint64_t end);

/* The extent that has the page of `addr`, as the tree says; false: none, or it cannot be read. */
bool cprof_jemalloc_tree_at(struct cprof_baseline_memory *memory, uint64_t root, uint64_t addr,
			    struct cprof_jemalloc_extent *ret_extent);

/*
 * All extents, by address. `fn` gets each once; an error of it ends the walk and is passed on. *ret_broken: how many
 * words led
 * to nothing that can be (also what changed meanwhile). At most 16 Mi extents, and leaves for 64 TiB.
 */
typedef struct cprof_error *cprof_jemalloc_extent_fn(void *ctx,
						     const struct cprof_jemalloc_extent *extent);
struct cprof_error *cprof_jemalloc_tree_each(struct cprof_baseline_memory *memory, uint64_t root,
					     cprof_jemalloc_extent_fn *fn, void *ctx,
					     uint64_t *ret_broken);

#endif
