/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/jemalloc_tree.h"

#include <string.h>

#define USER_SPACE     (1ull << 47)
#define PAGE           CPROF_BASELINE_PAGE
#define LEAF_SHIFT     30 /* of an address: which leaf */
#define LEAF_WORDS     ((uint64_t)1 << 18)
#define LEAF_BYTES     (LEAF_WORDS * 8)
#define ALIGNMENT      128        /* of a descriptor */
#define FLAGS          0x1full    /* of a leaf's word, below the address */
#define PAGES_MAX      (1u << 16) /* that may be read in search of the tree */
#define WALK_PAGES_MAX (1u << 20) /* of leaves: 2 TiB of heap */
#define TRIAL          4096       /* extents that are looked at before a tree is believed */
#define BROKEN_MAX     (1u << 16) /* words that lead nowhere: it is no tree */
#define WORDS_MAX      64         /* of a leaf, until one proves it */
#define EXTENTS_MAX    (16u << 20)
#define LEAVES_MAX     (1u << 12)

uint64_t cprof_jemalloc_class_bytes(unsigned class)
{
	if (class < 5)
		return class ? 16ull * class : 8;
	/* Four classes from each power of two to the next. */
	const unsigned group = (class - 5) / 4, step = (class - 5) % 4;
	return group > 50 ? 0 : (64ull << group) + (16ull << group) * (step + 1);
}

/* ---- descriptors ---- */

struct words { /* edata_t */
	uint64_t bits, addr, size, rest[5], bitmap[CPROF_JEMALLOC_REGIONS / 64];
};
_Static_assert(sizeof(struct words) == 128,
	       "include/jemalloc/internal/edata.h: sizeof(edata_t) is 128 bytes");

/* The address of a descriptor in a word of a leaf; 0: nothing is there (any more). */
static uint64_t descriptor_of(uint64_t word)
{
	return word & (USER_SPACE - 1) & ~(uint64_t)(ALIGNMENT - 1);
}

static unsigned field(uint64_t bits, unsigned shift, unsigned width)
{
	return (unsigned)(bits >> shift & ((1u << width) - 1));
}

static bool decode(uint64_t at, const struct words *words, struct cprof_jemalloc_extent *extent)
{
	*extent = (struct cprof_jemalloc_extent){
		.descriptor = at,
		.start = words->addr & ~(PAGE - 1),
		.size = words->size & ~(PAGE - 1),
		.block = words->addr,
		.arena = field(words->bits, 0, 12),
		.slab = field(words->bits, 12, 1),
		.state = field(words->bits, 17, 3),
		.class = field(words->bits, 20, 8),
		.n_free = field(words->bits, 28, 10),
	};
	memcpy(extent->free, words->bitmap, sizeof(extent->free));
	return extent->start && extent->start < USER_SPACE && extent->size &&
	       extent->size < USER_SPACE - extent->start && extent->class <= CPROF_JEMALLOC_CLASSES;
}

/* What a word of a leaf says, and its descriptor; false where they do not agree. */
static bool read_extent(struct cprof_baseline_memory *memory, uint64_t word,
			struct cprof_jemalloc_extent *extent)
{
	struct words words;
	const uint64_t at = descriptor_of(word);
	if (at < PAGE || word & (ALIGNMENT - 1) & ~FLAGS)
		return false;
	const uint8_t *bytes = cprof_baseline_memory_at(memory, at, sizeof(words), at + 8 * PAGE);
	if (bytes)
		memcpy(&words, bytes, sizeof(words));
	else if (!cprof_baseline_memory_read(memory, at, &words, sizeof(words)))
		return false;
	if (!decode(at, &words, extent))
		return false;
	return extent->state != CPROF_JEMALLOC_ACTIVE ||
	       (extent->class == word >> 48 && extent->slab == (word & 1));
}

/* ---- finding ---- */

/* Can it be one of a leaf's? Most words of other memory cannot, and are not followed. */
static bool is_word(uint64_t word)
{
	return word >> 48 <= CPROF_JEMALLOC_CLASSES && !(word >> 47 & 1) &&
	       !(word & (ALIGNMENT - 1) & ~FLAGS);
}

/* The root that a leaf at `leaf` is of, whose address was read at `at`; 0: it is no leaf. */
static uint64_t root_of(struct cprof_baseline_memory *memory, uint64_t at, uint64_t leaf,
			unsigned *pages)
{
	unsigned tried = 0;
	const uint64_t end = leaf + LEAF_BYTES;
	for (uint64_t page = cprof_baseline_memory_next(memory, leaf, end); page < end;
	     page = cprof_baseline_memory_next(memory, page, end)) {
		const uint64_t page_end =
			(page | (PAGE - 1)) + 1 < end ? (page | (PAGE - 1)) + 1 : end;
		uint64_t words[PAGE / 8];
		const size_t n = (size_t)(page_end - page) / 8;
		if (++*pages > PAGES_MAX || !cprof_baseline_memory_read(memory, page, words, n * 8))
			return 0;
		for (size_t i = 0; i < n; i++) {
			struct cprof_jemalloc_extent extent;
			if (words[i] && !is_word(words[i]))
				return 0;
			if (!descriptor_of(words[i]))
				continue;
			const uint64_t key = (page - leaf) / 8 + i;
			if (cprof_baseline_memory_present(memory, descriptor_of(words[i])) &&
			    read_extent(memory, words[i], &extent) &&
			    extent.start / PAGE % LEAF_WORDS == key)
				return at - (extent.start >> LEAF_SHIFT) * 8;
			if (++tried == WORDS_MAX)
				return 0;
		}
		page = page_end;
	}
	return 0;
}

/* Do all words of the root lead to leaves that say so themselves? Leaves without an extent prove nothing. */
static bool proves(struct cprof_baseline_memory *memory, uint64_t root, unsigned *pages)
{
	const uint64_t end = root + CPROF_JEMALLOC_ROOT_BYTES;
	unsigned good = 0;
	for (uint64_t at = cprof_baseline_memory_next(memory, root, end); at < end;
	     at = cprof_baseline_memory_next(memory, at, end)) {
		const uint64_t stop = (at | (PAGE - 1)) + 1 < end ? (at | (PAGE - 1)) + 1 : end;
		uint64_t words[PAGE / 8];
		if (!cprof_baseline_memory_read(memory, at, words, (size_t)(stop - at)))
			return false;
		for (size_t i = 0; i < (stop - at) / 8; i++) {
			if (!words[i])
				continue;
			if (words[i] >= USER_SPACE || words[i] % 64 || ++*pages > PAGES_MAX)
				return false;
			good += root_of(memory, at + 8 * i, words[i], pages) == root;
		}
		at = stop;
	}
	return good > 0;
}

struct trial {
	unsigned extents, active;
};

static struct cprof_error *try_extent(void *ctx, const struct cprof_jemalloc_extent *extent)
{
	struct trial *trial = ctx;
	trial->extents++;
	trial->active += extent->state == CPROF_JEMALLOC_ACTIVE;
	return trial->extents < TRIAL ? NULL : cprof_error_new(CPROF_ERR_USAGE, "enough");
}

/* Another version's descriptors would be where this one's are, but hardly any of them would make sense. */
static bool makes_sense(struct cprof_baseline_memory *memory, uint64_t root)
{
	struct trial trial = { 0 };
	uint64_t broken = 0;
	struct cprof_error *err =
		cprof_jemalloc_tree_each(memory, root, try_extent, &trial, &broken);
	const bool failed = err && err->code != CPROF_ERR_USAGE;
	cprof_error_free(err);
	return !failed && trial.active && broken * 8 <= trial.extents;
}

static uint64_t find_in_page(struct cprof_baseline_memory *memory, uint64_t page, uint64_t stop,
			     uint64_t start, uint64_t end, unsigned *pages)
{
	uint64_t words[PAGE / 8];
	if (!cprof_baseline_memory_read(memory, page, words, (size_t)(stop - page)))
		return 0;
	for (size_t i = 0; i < (stop - page) / 8 && *pages < PAGES_MAX; i++) {
		if (words[i] < PAGE || words[i] >= USER_SPACE || words[i] % 64)
			continue;
		const uint64_t root = root_of(memory, page + 8 * i, words[i], pages);
		if (root >= start && root < end && end - root >= CPROF_JEMALLOC_ROOT_BYTES &&
		    root % 8 == 0 && proves(memory, root, pages) && makes_sense(memory, root))
			return root;
	}
	return 0;
}

uint64_t cprof_jemalloc_tree_find(struct cprof_baseline_memory *memory, uint64_t start,
				  uint64_t end)
{
	unsigned pages = 0;
	start = (start + 7) & ~7ull;
	end &= ~7ull;
	for (uint64_t page = cprof_baseline_memory_next(memory, start, end); page < end;
	     page = cprof_baseline_memory_next(memory, page, end)) {
		const uint64_t stop = (page | (PAGE - 1)) + 1 < end ? (page | (PAGE - 1)) + 1 : end;
		const uint64_t root = find_in_page(memory, page, stop, start, end, &pages);
		if (root)
			return root;
		page = stop;
	}
	return 0;
}

/* ---- looking up, and all ---- */

bool cprof_jemalloc_tree_at(struct cprof_baseline_memory *memory, uint64_t root, uint64_t addr,
			    struct cprof_jemalloc_extent *ret_extent)
{
	uint64_t leaf, word;
	return addr < USER_SPACE &&
	       cprof_baseline_memory_read(memory, root + (addr >> LEAF_SHIFT) * 8, &leaf, 8) &&
	       leaf && leaf < USER_SPACE &&
	       cprof_baseline_memory_read(memory, leaf + addr / PAGE % LEAF_WORDS * 8, &word, 8) &&
	       word && read_extent(memory, word, ret_extent) && addr >= ret_extent->start &&
	       addr - ret_extent->start < ret_extent->size;
}

struct walk {
	struct cprof_baseline_memory *memory;
	cprof_jemalloc_extent_fn *fn;
	void *ctx;
	uint64_t last;    /* word: the pages of a slab all have the same */
	uint64_t done_to; /* extents lie one behind the other */
	uint64_t broken;
	unsigned extents, leaves, pages;
};

static struct cprof_error *walk_page(struct walk *walk, const uint64_t *words, size_t n,
				     uint64_t addr)
{
	struct cprof_jemalloc_extent extent;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n && walk->broken < BROKEN_MAX; i++, addr += PAGE) {
		if (!descriptor_of(words[i]) || words[i] == walk->last || addr < walk->done_to)
			continue;
		walk->last = words[i];
		if (!read_extent(walk->memory, words[i], &extent) || extent.start > addr ||
		    addr - extent.start >= extent.size) {
			walk->broken++;
			continue;
		}
		/* Its first word is gone or was not there yet: a page in its middle. */
		if (extent.start != addr || ++walk->extents > EXTENTS_MAX) {
			walk->broken++;
			continue;
		}
		walk->done_to = extent.start + extent.size;
		err = walk->fn(walk->ctx, &extent);
	}
	return err;
}

static struct cprof_error *walk_leaf(struct walk *walk, uint64_t leaf, uint64_t first)
{
	struct cprof_error *err = NULL;
	const uint64_t end = leaf + LEAF_BYTES;
	for (uint64_t at = cprof_baseline_memory_next(walk->memory, leaf, end); !err && at < end;
	     at = cprof_baseline_memory_next(walk->memory, at, end)) {
		const uint64_t stop = (at | (PAGE - 1)) + 1 < end ? (at | (PAGE - 1)) + 1 : end;
		uint64_t words[PAGE / 8];
		if (cprof_baseline_memory_read(walk->memory, at, words, (size_t)(stop - at)))
			err = walk_page(walk, words, (size_t)(stop - at) / 8,
					first + (at - leaf) / 8 * PAGE);
		else
			walk->broken++;
		if (walk->broken >= BROKEN_MAX || ++walk->pages > WALK_PAGES_MAX)
			break;
		at = stop;
	}
	return err;
}

struct cprof_error *cprof_jemalloc_tree_each(struct cprof_baseline_memory *memory, uint64_t root,
					     cprof_jemalloc_extent_fn *fn, void *ctx,
					     uint64_t *ret_broken)
{
	struct walk walk = { .memory = memory, .fn = fn, .ctx = ctx };
	struct cprof_error *err = NULL;
	const uint64_t end = root + CPROF_JEMALLOC_ROOT_BYTES;
	for (uint64_t at = cprof_baseline_memory_next(memory, root, end); !err && at < end;
	     at = cprof_baseline_memory_next(memory, at, end)) {
		const uint64_t stop = (at | (PAGE - 1)) + 1 < end ? (at | (PAGE - 1)) + 1 : end;
		uint64_t words[PAGE / 8];
		const bool ok = cprof_baseline_memory_read(memory, at, words, (size_t)(stop - at));
		for (size_t i = 0; ok && !err && i < (stop - at) / 8; i++) {
			if (!words[i])
				continue;
			if (words[i] % 64 || words[i] >= USER_SPACE || ++walk.leaves > LEAVES_MAX)
				walk.broken++;
			else
				err = walk_leaf(&walk, words[i],
						((at - root) / 8 + i) << LEAF_SHIFT);
		}
		at = stop;
	}
	*ret_broken = walk.broken;
	return err;
}
