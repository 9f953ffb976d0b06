/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/tcmalloc_spans.h"

#include <string.h>

#define USER_SPACE (1ull << 47)
#define PAGE       CPROF_BASELINE_PAGE
#define WORDS      (PAGE / 8)
#define LEAF_SHIFT 18 /* of a page's number: which leaf */
#define LEAF_WORDS ((uint64_t)1 << LEAF_SHIFT)
#define PAGES_MAX  (1u << 16) /* that may be read in search of the map, */
#define WALK_MAX   (1u << 20) /* and when it is walked */
#define WORDS_MAX  64         /* of a leaf, until one proves it */
#define LEAVES_MAX 4096
#define STRAYS_MAX (1u << 20) /* words that lead to no span of their page */

struct span { /* Span */
	uint64_t start, length, next, prev, objects, bits;
};

static bool read_span(struct cprof_baseline_memory *memory, uint64_t at, struct span *span)
{
	return at >= PAGE && at < USER_SPACE && at % 8 == 0 &&
	       cprof_baseline_memory_read(memory, at, span, sizeof(*span)) && span->start &&
	       span->length && span->start < USER_SPACE / CPROF_TCMALLOC_PAGE &&
	       span->length <= USER_SPACE / CPROF_TCMALLOC_PAGE - span->start;
}

/* The rest of the page that `at` is in, as words; how many, 0 where it cannot be read. */
static size_t page_words(struct cprof_baseline_memory *memory, uint64_t at, uint64_t end,
			 uint64_t words[WORDS])
{
	const uint64_t page_end = (at | (PAGE - 1)) + 1;
	const size_t n = (size_t)((page_end < end ? page_end : end) - at) / 8;
	return n && cprof_baseline_memory_read(memory, at, words, n * 8) ? n : 0;
}

static uint64_t next_page(uint64_t at)
{
	return (at | (PAGE - 1)) + 1;
}

/* ---- finding ---- */

/* Ascending sizes from 8 up to 256 KiB, behind a zero for class 0. */
static bool is_sizes(const uint32_t *sizes, size_t n, unsigned *ret_classes)
{
	static const uint32_t first[] = { 0, 8, 16, 32, 48, 64 };
	unsigned i = sizeof(first) / sizeof(first[0]);
	if (n < CPROF_TCMALLOC_CLASSES || memcmp(sizes, first, sizeof(first)) != 0)
		return false;
	while (i < CPROF_TCMALLOC_CLASSES && sizes[i] > sizes[i - 1])
		i++;
	*ret_classes = i;
	return sizes[i - 1] == 256u << 10 && (i == CPROF_TCMALLOC_CLASSES || !sizes[i]);
}

static bool find_sizes(struct cprof_baseline_memory *memory, struct cprof_tcmalloc *tcmalloc)
{
	uint32_t numbers[2 * WORDS + CPROF_TCMALLOC_CLASSES];
	const uint64_t end = tcmalloc->end;
	for (uint64_t at = cprof_baseline_memory_next(memory, tcmalloc->start & ~7ull, end);
	     at < end; at = cprof_baseline_memory_next(memory, next_page(at), end)) {
		uint64_t n = next_page(at) - at + sizeof(tcmalloc->bytes);
		n = n < end - at ? n : end - at;
		if (!cprof_baseline_memory_read(memory, at, numbers, n)) {
			n = next_page(at) - at;
			if (n > end - at || !cprof_baseline_memory_read(memory, at, numbers, n))
				continue;
		}
		for (size_t i = 0; i < n / 4; i++) {
			if (!is_sizes(numbers + i, n / 4 - i, &tcmalloc->n_classes))
				continue;
			memcpy(tcmalloc->bytes, numbers + i, sizeof(tcmalloc->bytes));
			return true;
		}
	}
	return false;
}

/* The root that a leaf at `leaf` is of, whose address was read at `at`; 0: it is none. */
static uint64_t root_of(struct cprof_baseline_memory *memory, uint64_t at, uint64_t leaf,
			unsigned *pages)
{
	const uint64_t end = leaf + CPROF_TCMALLOC_LEAF_BYTES;
	unsigned tried = 0;
	for (uint64_t page = cprof_baseline_memory_next(memory, leaf, end); page < end;
	     page = cprof_baseline_memory_next(memory, next_page(page), end)) {
		uint64_t words[WORDS];
		const size_t n = page_words(memory, page, end, words);
		if (!n || ++*pages > PAGES_MAX)
			return 0;
		for (size_t i = 0; i < n; i++) {
			struct span span;
			if (!words[i])
				continue;
			if (read_span(memory, words[i], &span) &&
			    span.start % LEAF_WORDS == (page - leaf) / 8 + i)
				return at - (span.start >> LEAF_SHIFT) * 8;
			if (++tried == WORDS_MAX)
				return 0;
		}
	}
	return 0;
}

static bool find_root(struct cprof_baseline_memory *memory, struct cprof_tcmalloc *tcmalloc)
{
	unsigned pages = 0;
	const uint64_t start = (tcmalloc->start + 7) & ~7ull, end = tcmalloc->end & ~7ull;
	for (uint64_t at = cprof_baseline_memory_next(memory, start, end); at < end;
	     at = cprof_baseline_memory_next(memory, next_page(at), end)) {
		uint64_t words[WORDS];
		const size_t n = page_words(memory, at, end, words);
		for (size_t i = 0; i < n && pages < PAGES_MAX; i++) {
			if (words[i] < PAGE || words[i] >= USER_SPACE || words[i] % 8)
				continue;
			const uint64_t root = root_of(memory, at + 8 * i, words[i], &pages);
			if (root >= start && root < end &&
			    end - root >= CPROF_TCMALLOC_ROOT_BYTES && root % 8 == 0) {
				tcmalloc->root = root;
				return true;
			}
		}
	}
	return false;
}

static bool is_central(struct cprof_baseline_memory *memory, uint64_t at, unsigned n_classes)
{
	for (unsigned i = 1; i < n_classes; i++) {
		uint64_t class;
		if (!cprof_baseline_memory_read(memory,
						at + i * sizeof(struct cprof_tcmalloc_central) + 8,
						&class, 8) ||
		    class != i)
			return false;
	}
	return true;
}

static void find_central(struct cprof_baseline_memory *memory, struct cprof_tcmalloc *tcmalloc)
{
	const uint64_t start = (tcmalloc->start + 7) & ~7ull, end = tcmalloc->end & ~7ull;
	for (uint64_t at = cprof_baseline_memory_next(memory, start, end); at < end;
	     at = cprof_baseline_memory_next(memory, next_page(at), end)) {
		uint64_t words[WORDS];
		const size_t n = page_words(memory, at, end, words);
		for (size_t i = 0; i < n; i++) {
			const uint64_t first =
				at + 8 * i - 8 - sizeof(struct cprof_tcmalloc_central);
			if (words[i] == 1 && first >= start && first < at + 8 * i &&
			    is_central(memory, first, tcmalloc->n_classes)) {
				tcmalloc->central = first;
				return;
			}
		}
	}
}

bool cprof_tcmalloc_find(struct cprof_baseline_memory *memory, uint64_t start, uint64_t end,
			 struct cprof_tcmalloc *ret_tcmalloc)
{
	*ret_tcmalloc = (struct cprof_tcmalloc){ .start = start, .end = end };
	if (!find_sizes(memory, ret_tcmalloc) || !find_root(memory, ret_tcmalloc))
		return false;
	find_central(memory, ret_tcmalloc);
	return true;
}

/* ---- spans ---- */

struct walk {
	struct cprof_baseline_memory *memory;
	const struct cprof_tcmalloc *tcmalloc;
	const struct cprof_tcmalloc_fns *fns;
	void *ctx;
	uint64_t done_to; /* page numbers below are in spans that were seen */
	uint64_t broken;
	unsigned pages, leaves, strays;
};

static bool decode(const struct walk *walk, const struct span *span,
		   struct cprof_tcmalloc_span *ret_span)
{
	const unsigned class = span->bits >> 16 & 0xff, use = span->bits >> 24 & 3;
	*ret_span = (struct cprof_tcmalloc_span){ .start = span->start * CPROF_TCMALLOC_PAGE,
						  .bytes = span->length * CPROF_TCMALLOC_PAGE,
						  .objects = span->objects,
						  .n_used = span->bits & 0xffff,
						  .class = class,
						  .use = (enum cprof_tcmalloc_use)use,
						  .sampled = span->bits >> 26 & 1 };
	return use <= CPROF_TCMALLOC_RETURNED && class < walk->tcmalloc->n_classes;
}

static struct cprof_error *walk_words(struct walk *walk, const uint64_t *words, size_t n,
				      uint64_t number)
{
	struct cprof_error *err = NULL;
	struct cprof_tcmalloc_span found; /* out here: cppcheck takes fns->span() for std::span */
	for (size_t i = 0; !err && i < n && walk->strays < STRAYS_MAX; i++, number++) {
		struct span span = { 0 };
		if (!words[i] || number < walk->done_to)
			continue;
		if (!read_span(walk->memory, words[i], &span) || span.start != number ||
		    !decode(walk, &span, &found)) {
			/* Inner pages keep what they had before their spans were joined: only the first one's counts. */
			walk->strays++;
			walk->broken += span.start == number;
			continue;
		}
		walk->done_to = span.start + span.length;
		err = walk->fns->span(walk->ctx, &found);
	}
	return err;
}

static struct cprof_error *walk_leaf(struct walk *walk, uint64_t leaf, uint64_t first)
{
	const uint64_t end = leaf + CPROF_TCMALLOC_LEAF_BYTES;
	struct cprof_error *err = walk->fns->leaf(walk->ctx, leaf, end);
	for (uint64_t at = cprof_baseline_memory_next(walk->memory, leaf, end); !err && at < end;
	     at = cprof_baseline_memory_next(walk->memory, next_page(at), end)) {
		uint64_t words[WORDS];
		const size_t n = page_words(walk->memory, at, end, words);
		walk->broken += !n;
		if (walk->strays >= STRAYS_MAX || ++walk->pages > WALK_MAX)
			break;
		err = walk_words(walk, words, n, first + (at - leaf) / 8);
	}
	return err;
}

struct cprof_error *cprof_tcmalloc_spans(struct cprof_baseline_memory *memory,
					 const struct cprof_tcmalloc *tcmalloc,
					 const struct cprof_tcmalloc_fns *fns, void *ctx,
					 uint64_t *ret_broken)
{
	struct walk walk = { .memory = memory, .tcmalloc = tcmalloc, .fns = fns, .ctx = ctx };
	struct cprof_error *err = NULL;
	const uint64_t root = tcmalloc->root, end = root + CPROF_TCMALLOC_ROOT_BYTES;
	for (uint64_t at = cprof_baseline_memory_next(memory, root, end); !err && at < end;
	     at = cprof_baseline_memory_next(memory, next_page(at), end)) {
		uint64_t words[WORDS];
		const size_t n = page_words(memory, at, end, words);
		for (size_t i = 0; !err && i < n; i++) {
			if (!words[i])
				continue;
			if (words[i] >= USER_SPACE || words[i] % 8 || ++walk.leaves > LEAVES_MAX)
				walk.broken++;
			else
				err = walk_leaf(&walk, words[i],
						((at - root) / 8 + i) << LEAF_SHIFT);
		}
	}
	*ret_broken = walk.broken;
	return err;
}

bool cprof_tcmalloc_span_free(struct cprof_baseline_memory *memory,
			      const struct cprof_tcmalloc *tcmalloc,
			      const struct cprof_tcmalloc_span *span, uint64_t *free,
			      unsigned *ret_n)
{
	const uint64_t bytes = tcmalloc->bytes[span->class];
	const uint64_t n = bytes ? span->bytes / bytes : 0, end = span->start + span->bytes;
	uint64_t block = span->objects;
	*ret_n = 0;
	if (!n || n >= CPROF_TCMALLOC_BLOCKS)
		return false;
	memset(free, 0, (n + 63) / 64 * sizeof(*free));
	if (block)
		cprof_baseline_memory_hold(memory, span->start, end, end + CPROF_BASELINE_BLOCK);
	while (block) {
		if (block < span->start || block >= end)
			return false;
		const uint64_t i = (block - span->start) / bytes;
		if ((block - span->start) % bytes || i >= n || free[i / 64] >> i % 64 & 1)
			return false;
		free[i / 64] |= 1ull << i % 64;
		++*ret_n;
		const uint8_t *at = cprof_baseline_memory_at(memory, block, 8, end);
		if (at)
			memcpy(&block, at, 8);
		else if (!cprof_baseline_memory_read(memory, block, &block, 8))
			return false;
	}
	return true;
}
