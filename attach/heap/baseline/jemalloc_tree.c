/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/jemalloc_tree.h"

#include "attach/heap/baseline/baseline_piece.h"

#define USER_SPACE     (1ull << 47)
#define PAGE           CPROF_BASELINE_PAGE
#define PAGES_MAX      (1u << 16) /* that may be read in search of the tree */
#define WALK_PAGES_MAX (1u << 20) /* of leaves: 2 TiB of heap, or 1 */
#define TRIAL          4096       /* extents that are looked at before a tree is believed */
#define BROKEN_MAX     (1u << 16) /* entries that lead nowhere: it is no tree */
#define ENTRIES_MAX    64         /* of a leaf, until one proves it */
#define EXTENTS_MAX    (16u << 20)
#define LEAVES_MAX     (1u << 12)

/* ---- what is in memory ---- */

/* Can it be the address of a leaf, or of what is above it? */
static bool is_node(uint64_t word)
{
	return word >= PAGE && word < USER_SPACE && word % 64 == 0;
}

/* The extent that an entry leads to; false where they do not agree. */
static bool read_extent(struct cprof_baseline_memory *memory,
			const struct cprof_jemalloc_form *form,
			const struct cprof_jemalloc_entry *entry,
			struct cprof_jemalloc_extent *extent)
{
	uint8_t other[CPROF_JEMALLOC_DESCRIPTOR];
	const uint64_t at = entry->descriptor;
	if (at < PAGE)
		return false;
	const uint8_t *bytes = cprof_baseline_memory_at(memory, at, sizeof(other), at + 8 * PAGE);
	if (!bytes && !cprof_baseline_memory_read(memory, at, other, sizeof(other)))
		return false;
	return cprof_jemalloc_extent_decode(form, at, bytes ? bytes : other, extent) &&
	       (extent->state != CPROF_JEMALLOC_ACTIVE ||
		(extent->class == entry->class && extent->slab == entry->slab));
}

/* ---- finding ---- */

struct finding {
	struct cprof_baseline_memory *memory;
	const struct cprof_jemalloc_form *form;
	unsigned pages; /* read so far */
};

/* Where an extent begins that an entry of the leaf at `leaf` proves to be in its place; 0: it is no leaf. */
static uint64_t leaf_start(struct finding *finding, uint64_t leaf)
{
	const struct cprof_jemalloc_form *form = finding->form;
	struct cprof_baseline_piece piece;
	unsigned tried = 0;
	for (uint64_t at = leaf, end = leaf + cprof_jemalloc_leaf_bytes(form);
	     cprof_baseline_piece_next(finding->memory, &at, end, &piece);) {
		if (++finding->pages > PAGES_MAX || !piece.n)
			return 0;
		const uint64_t first = (piece.addr - leaf) / 8;
		for (size_t i = first % form->entry_words; i + form->entry_words <= piece.n;
		     i += form->entry_words) {
			struct cprof_jemalloc_entry entry;
			struct cprof_jemalloc_extent extent;
			if (!cprof_jemalloc_entry_decode(form, piece.words + i, &entry))
				return 0;
			if (!entry.descriptor)
				continue;
			if (cprof_baseline_memory_present(finding->memory, entry.descriptor) &&
			    read_extent(finding->memory, form, &entry, &extent) &&
			    cprof_jemalloc_index(form, 0, extent.start) ==
				    (first + i) / form->entry_words)
				return extent.start;
			if (++tried == ENTRIES_MAX)
				return 0;
		}
	}
	return 0;
}

/* The same of what is above leaves. */
static uint64_t node_start(struct finding *finding, uint64_t node)
{
	struct cprof_baseline_piece piece;
	for (uint64_t at = node, end = node + cprof_jemalloc_node_bytes(finding->form);
	     cprof_baseline_piece_next(finding->memory, &at, end, &piece);) {
		if (++finding->pages > PAGES_MAX || !piece.n)
			return 0;
		for (size_t i = 0; i < piece.n; i++) {
			if (!piece.words[i])
				continue;
			if (!is_node(piece.words[i]))
				return 0;
			const uint64_t start = leaf_start(finding, piece.words[i]);
			if (start && cprof_jemalloc_index(finding->form, 1, start) ==
					     (piece.addr - node) / 8 + i)
				return start;
			if (finding->pages > PAGES_MAX)
				return 0;
		}
	}
	return 0;
}

/* The root that has at `at` the word that leads to `child`; 0: that is none of a tree. */
static uint64_t root_of(struct finding *finding, uint64_t at, uint64_t child)
{
	const unsigned levels = finding->form->levels;
	const uint64_t start =
		levels == 2 ? leaf_start(finding, child) : node_start(finding, child);
	return start ? at - cprof_jemalloc_index(finding->form, levels - 1, start) * 8 : 0;
}

/* Do all words of the root lead to what says so itself? Leaves without an extent prove nothing. */
static bool proves(struct finding *finding, uint64_t root)
{
	unsigned good = 0;
	struct cprof_baseline_piece piece;
	for (uint64_t at = root, end = root + cprof_jemalloc_node_bytes(finding->form);
	     cprof_baseline_piece_next(finding->memory, &at, end, &piece);) {
		if (!piece.n)
			return false;
		for (size_t i = 0; i < piece.n; i++) {
			if (!piece.words[i])
				continue;
			if (!is_node(piece.words[i]) || ++finding->pages > PAGES_MAX)
				return false;
			good += root_of(finding, piece.addr + 8 * i, piece.words[i]) == root;
		}
	}
	return good > 0;
}

struct trial {
	unsigned extents, active, strange;
};

static struct cprof_error *try_extent(void *ctx, const struct cprof_jemalloc_extent *extent)
{
	struct trial *trial = ctx;
	trial->extents++;
	trial->active += extent->state == CPROF_JEMALLOC_ACTIVE;
	trial->strange += extent->state > CPROF_JEMALLOC_RETAINED;
	return trial->extents < TRIAL ? NULL : cprof_error_new(CPROF_ERR_USAGE, "enough");
}

/* Another version's descriptors would be where this one's are, but hardly any of them would make sense. */
static bool makes_sense(struct finding *finding, uint64_t root)
{
	const struct cprof_jemalloc_tree tree = { root, finding->form };
	struct trial trial = { 0 };
	uint64_t broken = 0;
	struct cprof_error *err =
		cprof_jemalloc_tree_each(finding->memory, &tree, try_extent, &trial, &broken);
	const bool failed = err && err->code != CPROF_ERR_USAGE;
	cprof_error_free(err);
	return !failed && trial.active && (broken + trial.strange) * 8 <= trial.extents;
}

/* Is `word`, at `at`, the one of a root in [start, end) that leads down? */
static bool is_of_root(struct finding *finding, uint64_t at, uint64_t word, uint64_t start,
		       uint64_t end, uint64_t *ret_root)
{
	const uint64_t bytes = cprof_jemalloc_node_bytes(finding->form);
	if (finding->pages >= PAGES_MAX || end - start < bytes)
		return false;
	const uint64_t root = root_of(finding, at, word);
	*ret_root = root;
	return root >= start && root < end && end - root >= bytes && root % 8 == 0 &&
	       proves(finding, root) && makes_sense(finding, root);
}

/* Of any form: what a word leads to is read once for all of them. */
static bool find_root(struct finding *findings, uint64_t at, uint64_t word, uint64_t start,
		      uint64_t end, struct cprof_jemalloc_tree *ret_tree)
{
	for (size_t i = 0; i < CPROF_JEMALLOC_FORMS; i++) {
		ret_tree->form = findings[i].form;
		if (is_of_root(&findings[i], at, word, start, end, &ret_tree->root))
			return true;
	}
	return false;
}

bool cprof_jemalloc_tree_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			      struct cprof_jemalloc_tree *ret_tree)
{
	struct finding findings[CPROF_JEMALLOC_FORMS];
	struct cprof_baseline_piece piece;
	start = (start + 7) & ~7ull;
	end &= ~7ull;
	if (end <= start || end - start < CPROF_JEMALLOC_ROOT_LEAST)
		return false;
	for (size_t i = 0; i < CPROF_JEMALLOC_FORMS; i++)
		findings[i] =
			(struct finding){ .memory = memory, .form = &cprof_jemalloc_forms[i] };
	for (uint64_t at = start; cprof_baseline_piece_next(memory, &at, end, &piece);) {
		for (size_t i = 0; i < piece.n; i++) {
			if (is_node(piece.words[i]) &&
			    find_root(findings, piece.addr + 8 * i, piece.words[i], start, end,
				      ret_tree))
				return true;
		}
	}
	return false;
}

/* ---- looking up, and all ---- */

bool cprof_jemalloc_tree_at(struct cprof_baseline_memory *memory,
			    const struct cprof_jemalloc_tree *tree, uint64_t addr,
			    struct cprof_jemalloc_extent *ret_extent)
{
	const struct cprof_jemalloc_form *form = tree->form;
	struct cprof_jemalloc_entry entry;
	uint64_t node = tree->root, words[2];
	if (addr >= USER_SPACE)
		return false;
	for (unsigned above = form->levels - 1; above; above--) {
		const uint64_t at = node + cprof_jemalloc_index(form, above, addr) * 8;
		if (!cprof_baseline_memory_read(memory, at, &node, 8) || !is_node(node))
			return false;
	}
	const size_t bytes = form->entry_words * sizeof(words[0]);
	return cprof_baseline_memory_read(
		       memory, node + cprof_jemalloc_index(form, 0, addr) * bytes, words, bytes) &&
	       cprof_jemalloc_entry_decode(form, words, &entry) &&
	       read_extent(memory, form, &entry, ret_extent) && addr >= ret_extent->start &&
	       addr - ret_extent->start < ret_extent->size;
}

struct walk {
	struct cprof_baseline_memory *memory;
	const struct cprof_jemalloc_form *form;
	cprof_jemalloc_extent_fn *fn;
	void *ctx;
	uint64_t last;    /* descriptor: the pages of a slab all have the same */
	uint64_t done_to; /* extents lie one behind the other */
	uint64_t broken;
	unsigned extents, leaves, pages;
};

static struct cprof_error *walk_entry(struct walk *walk, const uint64_t *words, uint64_t addr)
{
	struct cprof_jemalloc_entry entry;
	struct cprof_jemalloc_extent extent;
	if (addr < walk->done_to)
		return NULL;
	const bool fits = cprof_jemalloc_entry_decode(walk->form, words, &entry);
	if (!entry.descriptor || entry.descriptor == walk->last)
		return NULL;
	walk->last = entry.descriptor;
	/* Where its first entry is gone or was not there yet, this is a page in its middle. */
	if (!fits || !read_extent(walk->memory, walk->form, &entry, &extent) ||
	    extent.start != addr || ++walk->extents > EXTENTS_MAX) {
		walk->broken++;
		return NULL;
	}
	walk->done_to = extent.start + extent.size;
	return walk->fn(walk->ctx, &extent);
}

static struct cprof_error *walk_leaf(struct walk *walk, uint64_t leaf, uint64_t first)
{
	const unsigned step = walk->form->entry_words;
	struct cprof_error *err = NULL;
	struct cprof_baseline_piece piece;
	for (uint64_t at = leaf, end = leaf + cprof_jemalloc_leaf_bytes(walk->form);
	     !err && walk->broken < BROKEN_MAX && walk->pages < WALK_PAGES_MAX &&
	     cprof_baseline_piece_next(walk->memory, &at, end, &piece);
	     walk->pages++) {
		const uint64_t before = (piece.addr - leaf) / 8;
		walk->broken += !piece.n;
		for (size_t i = before % step;
		     !err && i + step <= piece.n && walk->broken < BROKEN_MAX; i += step)
			err = walk_entry(walk, piece.words + i, first + (before + i) / step * PAGE);
	}
	return err;
}

/* A root, or what is between it and leaves: `above` of them; the first address it is for is `first`. */
static struct cprof_error *
walk_node(struct walk *walk, uint64_t node, unsigned above, uint64_t first,
	  struct cprof_error *(*child)(struct walk *walk, uint64_t at, uint64_t first))
{
	struct cprof_error *err = NULL;
	struct cprof_baseline_piece piece;
	for (uint64_t at = node, end = node + cprof_jemalloc_node_bytes(walk->form);
	     !err && walk->leaves <= LEAVES_MAX &&
	     cprof_baseline_piece_next(walk->memory, &at, end, &piece);) {
		for (size_t i = 0; !err && i < piece.n; i++) {
			const uint64_t index = (piece.addr - node) / 8 + i;
			if (!piece.words[i])
				continue;
			if (!is_node(piece.words[i]) || ++walk->leaves > LEAVES_MAX)
				walk->broken++;
			else
				err = child(
					walk, piece.words[i],
					first + (index << (12 + above * walk->form->level_bits)));
		}
	}
	return err;
}

static struct cprof_error *walk_middle(struct walk *walk, uint64_t node, uint64_t first)
{
	return walk_node(walk, node, 1, first, walk_leaf);
}

struct cprof_error *cprof_jemalloc_tree_each(struct cprof_baseline_memory *memory,
					     const struct cprof_jemalloc_tree *tree,
					     cprof_jemalloc_extent_fn *fn, void *ctx,
					     uint64_t *ret_broken)
{
	struct walk walk = { .memory = memory, .form = tree->form, .fn = fn, .ctx = ctx };
	const unsigned above = tree->form->levels - 1;
	struct cprof_error *err =
		walk_node(&walk, tree->root, above, 0, above > 1 ? walk_middle : walk_leaf);
	*ret_broken = walk.broken;
	return err;
}
