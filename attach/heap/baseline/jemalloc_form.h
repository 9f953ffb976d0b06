/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/jemalloc_form.h - how jemalloc 5 lays out its tree of extents and their descriptors, by version: numbers, no process.
 *
 * The tree has as many levels as the machine on which jemalloc was built needs for its addresses: with 48 bits of address two of 2^18
 * words, with 57 three of 2^15. With 48 bits an entry of a leaf is one word, the descriptor's address with the size class above
 * and flags below; with 57 bits these are a second word.
 *
 * Source of truth: jemalloc 5.0.1 to 5.3.1, include/jemalloc/internal/rtree.h, include/jemalloc/internal/extent_structs.h (5.0 to 5.2),
 * include/jemalloc/internal/edata.h (5.3), include/jemalloc/internal/slab_data.h, include/jemalloc/internal/sc.h; x86-64, pages of 4 KiB.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_FORM_H
#define CPROF_ATTACH_HEAP_BASELINE_JEMALLOC_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPROF_JEMALLOC_BINS       36 /* size classes that come in slabs: up to 14 KiB */
#define CPROF_JEMALLOC_CLASSES    232
#define CPROF_JEMALLOC_REGIONS    512 /* of a slab, at most */
#define CPROF_JEMALLOC_DESCRIPTOR 128 /* bytes */

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

struct cprof_jemalloc_form {
	unsigned levels;      /* of the tree, the leaves among them */
	unsigned level_bits;  /* of an address, that each level tells */
	unsigned entry_words; /* of a leaf's entry: 1 or 2 */
	unsigned alignment;   /* of a descriptor */
	/* In a descriptor's first word; state_bits of the state, 8 of the class, 10 of the number of free regions. */
	unsigned state_shift, state_bits, class_shift, free_shift;
	/* In an entry: the flags below a descriptor's address, or in the second word: where class and slab are. */
	unsigned flags, entry_class_shift, entry_slab_shift;
	bool is_5_3; /* and what it has besides the tree: jemalloc_cache.h, jemalloc_samples.h */
};

#define CPROF_JEMALLOC_FORMS 6
extern const struct cprof_jemalloc_form
	cprof_jemalloc_forms[CPROF_JEMALLOC_FORMS]; /* the likeliest first */

/* An entry of a leaf. */
struct cprof_jemalloc_entry {
	uint64_t descriptor; /* 0: it has none */
	unsigned class;
	bool slab;
};

/* Usable bytes of a block of size class `class` (below CPROF_JEMALLOC_CLASSES). */
uint64_t cprof_jemalloc_class_bytes(unsigned class);

/* False: these words cannot be an entry. Most words of other memory cannot. */
bool cprof_jemalloc_entry_decode(const struct cprof_jemalloc_form *form, const uint64_t *words,
				 struct cprof_jemalloc_entry *ret_entry);

/* The descriptor at `addr`, whose bytes are given; false: it describes nothing that can be. */
bool cprof_jemalloc_extent_decode(const struct cprof_jemalloc_form *form, uint64_t addr,
				  const uint8_t bytes[CPROF_JEMALLOC_DESCRIPTOR],
				  struct cprof_jemalloc_extent *ret_extent);

/* Bytes of the root and of what is below it but a leaf, and bytes of a leaf. */
static inline uint64_t cprof_jemalloc_node_bytes(const struct cprof_jemalloc_form *form)
{
	return 8ull << form->level_bits;
}

static inline uint64_t cprof_jemalloc_leaf_bytes(const struct cprof_jemalloc_form *form)
{
	return (uint64_t)form->entry_words * cprof_jemalloc_node_bytes(form);
}

/* Of an address: which entry of what is `above` levels above the leaves. */
static inline uint64_t cprof_jemalloc_index(const struct cprof_jemalloc_form *form, unsigned above,
					    uint64_t addr)
{
	return addr >> (12 + above * form->level_bits) & ((1ull << form->level_bits) - 1);
}

#endif
