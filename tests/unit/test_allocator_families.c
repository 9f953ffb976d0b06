/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "attach/heap/baseline/jemalloc_samples.h"
#include "attach/heap/baseline/jemalloc_cache.h"
#include "attach/heap/baseline/jemalloc_tree.h"
#include "attach/heap/baseline/mimalloc_map.h"
#include "attach/heap/baseline/mimalloc_segments.h"
#include "attach/heap/baseline/musl_chunks.h"
#include "attach/heap/baseline/musl_groups.h"
#include "attach/heap/baseline/tcmalloc_caches.h"
#include "tests/unit/test.h"

/* Memory of some pages that lie where a test wants them; the rest cannot be read. */
#define PAGES 8
struct pages {
	uint64_t addr[PAGES];
	uint8_t bytes[PAGES][4096];
	unsigned n;
};

static bool read_pages(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct pages *pages = ctx;
	for (size_t done = 0; done < n; done++) {
		const uint64_t page = (addr + done) & ~4095ull;
		unsigned i = 0;
		while (i < pages->n && pages->addr[i] != page)
			i++;
		if (i == pages->n)
			return false;
		((uint8_t *)buf)[done] = pages->bytes[i][(addr + done) & 4095];
	}
	return true;
}

static uint8_t *at(struct pages *pages, uint64_t addr)
{
	for (unsigned i = 0; i < pages->n; i++) {
		if (pages->addr[i] == (addr & ~4095ull))
			return pages->bytes[i] + (addr & 4095);
	}
	CHECK(pages->n < PAGES);
	pages->addr[pages->n] = addr & ~4095ull;
	return pages->bytes[pages->n++] + (addr & 4095);
}

static void put(struct pages *pages, uint64_t addr, uint64_t value)
{
	memcpy(at(pages, addr), &value, sizeof(value));
}

static void open_pages(struct pages *pages, struct cprof_baseline_memory *memory)
{
	CHECK(cprof_baseline_memory_init(memory, 0, (struct cprof_memory){ read_pages, pages }));
}

/* What was read ahead is forgotten. */
static void reopen_pages(struct pages *pages, struct cprof_baseline_memory *memory)
{
	cprof_baseline_memory_deinit(memory);
	open_pages(pages, memory);
}

/* ---- memory ---- */

TEST(baseline_memory_is_not_read_past_its_limit)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	uint64_t word = 0;
	CHECK(pages);
	put(pages, 0x10000, 7);
	put(pages, 0x11000, 8);
	open_pages(pages, &memory);
	cprof_baseline_memory_limit(&memory, 3);
	CHECK(cprof_baseline_memory_read(&memory, 0x10000, &word, 8));
	CHECK_UINT(word, 7);
	CHECK(cprof_baseline_memory_at(&memory, 0x11000, 8, 0x12000));
	CHECK(cprof_baseline_memory_at(&memory, 0x11008, 8, 0x12000)); /* which is there already */
	CHECK(!cprof_baseline_memory_spent(&memory));
	CHECK(!cprof_baseline_memory_read(&memory, 0x10000, &word, 8));
	CHECK(cprof_baseline_memory_spent(&memory));
	CHECK(!cprof_baseline_memory_at(&memory, 0x10000, 8, 0x12000));
	CHECK_UINT(cprof_baseline_memory_next(&memory, 0x10000, 1ull << 46), 1ull << 46);
	cprof_baseline_memory_limit(&memory, UINT64_MAX);
	CHECK(cprof_baseline_memory_read(&memory, 0x10000, &word, 8));
	CHECK_UINT(cprof_baseline_memory_next(&memory, 0x10000, 1ull << 46), 0x10000);
	cprof_baseline_memory_deinit(&memory);
	free(pages);
}

/* ---- jemalloc ---- */

TEST(jemalloc_samples_tell_their_rate_by_the_share_of_blocks)
{
	enum { N_1024 = 150000, CLASS_1024 = 20, MOST = 4000 };
	static const struct {
		unsigned taken, want;
		bool told;
	} rates[] = { { 2326, 16, true }, { 2100, 16, true }, { 292, 19, true },
		      { 73, 21, true },   { 15, 19, false },  { 0, 19, false } };
	struct cprof_jemalloc_sample *all = calloc(MOST, sizeof(*all));
	uint64_t in_use[CPROF_JEMALLOC_CLASSES] = { [CLASS_1024] = N_1024 };
	CHECK(all);
	CHECK_UINT(cprof_jemalloc_class_bytes(CLASS_1024), 1024);
	for (unsigned i = 0; i < MOST; i++)
		all[i].class = CLASS_1024;
	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		const struct cprof_jemalloc_samples samples = { .all = all, .n = rates[i].taken };
		unsigned lg = 0;
		CHECK_UINT(cprof_jemalloc_samples_rate_of_share(&samples, in_use, &lg),
			   rates[i].told);
		CHECK_UINT(lg, rates[i].want);
	}
	free(all);
}

TEST(jemalloc_samples_lead_to_their_stacks_in_each_version)
{
	enum { COUNTS = 0x10000, STACK = 0x11000 };
	static const struct {
		const char *what;
		bool is_5_3;
		unsigned word;                   /* of the descriptor, that leads to the counts */
		unsigned counts_stack, addrs, n; /* words of the counts, and of the stack */
		uint64_t depth;
		unsigned samples, broken;
	} rows[] = {
		{ "5.1", false, 0, 7, 9, 10, 3, 1, 0 },
		{ "5.2", false, 1, 7, 9, 10, 3, 1, 0 },
		{ "5.3", true, 2, 12, 13, 14, 3, 1, 0 },
		{ "5.3 read as 5.2", false, 1, 12, 13, 14, 3, 0, 1 },
		{ "5.2 read as 5.3", true, 2, 7, 9, 10, 3, 0, 1 },
		{ "no stack", false, 1, 7, 9, 10, 0, 0, 1 },
		{ "a stack too deep", false, 0, 7, 9, 10, 1025, 0, 1 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pages *pages = calloc(1, sizeof(*pages));
		struct cprof_baseline_memory memory;
		struct cprof_baseline_stacks stacks;
		struct cprof_jemalloc_samples samples = { 0 };
		struct cprof_jemalloc_extent extent = { .block = 0x20000, .class = 20 };
		uint64_t addrs[CPROF_BASELINE_DEPTH];
		const uint64_t first = STACK + (rows[i].n + 1) * 8;
		CHECK(pages);
		put(pages, COUNTS + rows[i].counts_stack * 8, STACK);
		put(pages, STACK + rows[i].addrs * 8, first);
		put(pages, STACK + rows[i].n * 8, rows[i].depth);
		for (unsigned k = 0; k < 3; k++)
			put(pages, first + k * 8, 0x401000 + k);
		open_pages(pages, &memory);
		CHECK(!cprof_baseline_stacks_init(&stacks));
		CHECK(!cprof_jemalloc_samples_note(&samples, &memory, &stacks, &extent,
						   rows[i].is_5_3, 1024));
		extent.free[rows[i].word] = 1; /* not sampled */
		CHECK(!cprof_jemalloc_samples_note(&samples, &memory, &stacks, &extent,
						   rows[i].is_5_3, 1024));
		CHECK(!samples.n && !samples.n_broken);
		extent.free[rows[i].word] = COUNTS;
		CHECK(!cprof_jemalloc_samples_note(&samples, &memory, &stacks, &extent,
						   rows[i].is_5_3, 1024));
		CHECK_UINT(samples.n, rows[i].samples);
		CHECK_UINT(samples.n_broken, rows[i].broken);
		if (samples.n) {
			CHECK_UINT(
				cprof_baseline_stacks_get(&stacks, samples.counts[0].stack, addrs),
				3);
			CHECK_UINT(addrs[2], 0x401002);
		}
		cprof_jemalloc_samples_deinit(&samples);
		cprof_baseline_stacks_deinit(&stacks);
		cprof_baseline_memory_deinit(&memory);
		free(pages);
	}
}

TEST(jemalloc_classes_are_those_of_its_table)
{
	static const struct {
		unsigned class;
		uint64_t bytes;
	} want[] = { { 0, 8 },      { 1, 16 },       { 4, 64 },      { 5, 80 },     { 8, 128 },
		     { 9, 160 },    { 12, 256 },     { 35, 14336 },  { 36, 16384 }, { 40, 32768 },
		     { 41, 40960 }, { 60, 1 << 20 }, { 61, 5 << 18 } };
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		CHECK_UINT(cprof_jemalloc_class_bytes(want[i].class), want[i].bytes);
}

#define JE_ROOT  0x555555600000ull
#define JE_LEAF  0x7f0000000000ull
#define JE_DESC  0x7f0000300080ull
#define JE_START 0x7f0012345000ull
#define JE_NODE  0x7f0000400000ull
#define JE_META  0x7f0000600000ull
#define JE_CACHE 0x7f0000700000ull
#define JE_STACK 0x7f0000800000ull

/* A slab of 16-byte blocks, two of them free, and the tree that leads to it. */
static void make_tree(struct pages *pages, const struct cprof_jemalloc_form *form)
{
	uint64_t at = JE_LEAF + cprof_jemalloc_index(form, 0, JE_START) * 8 * form->entry_words;
	const bool three = form->levels == 3;
	put(pages, JE_ROOT + cprof_jemalloc_index(form, form->levels - 1, JE_START) * 8,
	    three ? JE_NODE : JE_LEAF);
	if (three)
		put(pages, JE_NODE + cprof_jemalloc_index(form, 1, JE_START) * 8, JE_LEAF);
	if (form->entry_words == 1) {
		put(pages, at, 1ull << 48 | JE_DESC | 1);
	} else {
		put(pages, at, JE_DESC);
		put(pages, at + 8,
		    1ull << form->entry_class_shift | 1ull << form->entry_slab_shift);
	}
	put(pages, JE_DESC,
	    3 | 1ull << 12 | 1ull << 13 | 1ull << form->class_shift | 2ull << form->free_shift);
	put(pages, JE_DESC + 8, JE_START);
	put(pages, JE_DESC + 16, 4096);
	put(pages, JE_DESC + 64, 5);
}

static struct cprof_error *count_extent(void *ctx, const struct cprof_jemalloc_extent *extent)
{
	*(unsigned *)ctx += extent->start == JE_START;
	return NULL;
}

TEST(jemalloc_tree_of_each_version_proves_itself)
{
	for (size_t i = 0; i < CPROF_JEMALLOC_FORMS; i++) {
		struct pages *pages = calloc(1, sizeof(*pages));
		const struct cprof_jemalloc_tree tree = { JE_ROOT, &cprof_jemalloc_forms[i] };
		struct cprof_baseline_memory memory;
		struct cprof_jemalloc_extent extent;
		unsigned n = 0;
		uint64_t broken;
		make_tree(pages, tree.form);
		open_pages(pages, &memory);
		CHECK(cprof_jemalloc_tree_at(&memory, &tree, JE_START + 100, &extent));
		CHECK_UINT(extent.start, JE_START);
		CHECK_UINT(extent.arena, 3);
		CHECK_UINT(extent.class, 1);
		CHECK_UINT(extent.state, CPROF_JEMALLOC_ACTIVE);
		CHECK_UINT(extent.n_free, 2);
		CHECK_UINT(extent.free[0], 5);
		CHECK(!cprof_jemalloc_tree_at(&memory, &tree, JE_START + 4096, &extent));
		CHECK(!cprof_jemalloc_tree_each(&memory, &tree, count_extent, &n, &broken));
		CHECK_UINT(n, 1);
		/* Another class than the leaf says. */
		put(pages, JE_DESC, 3 | 1ull << 12 | 2ull << tree.form->class_shift);
		reopen_pages(pages, &memory);
		CHECK(!cprof_jemalloc_tree_at(&memory, &tree, JE_START, &extent));
		cprof_baseline_memory_deinit(&memory);
		free(pages);
	}
}

static const struct {
	uint64_t words[2];
	unsigned form;
} no_entries[] = {
	{ { 1ull << 48 | JE_DESC | 0x20, 0 }, 0 }, /* no such flag */
	{ { 233ull << 48 | JE_DESC, 0 }, 0 },      /* no such class */
	{ { 1ull << 47 | JE_DESC, 0 }, 0 },        /* the kernel's */
	{ { JE_DESC + 64, 1 << 5 }, 1 },           /* descriptors lie at multiples of 128 */
	{ { JE_DESC, 233 << 5 }, 1 },
	{ { JE_DESC, 1ull << 33 }, 1 },
	{ { JE_DESC | 2, 0 }, 2 },
	{ { JE_DESC, 1ull << 34 }, 3 },
	{ { JE_DESC, 233 }, 3 },
};

TEST(jemalloc_entries_that_cannot_be_are_refused)
{
	struct cprof_jemalloc_entry entry;
	for (size_t i = 0; i < sizeof(no_entries) / sizeof(no_entries[0]); i++)
		CHECK(!cprof_jemalloc_entry_decode(&cprof_jemalloc_forms[no_entries[i].form],
						   no_entries[i].words, &entry));
}

static void count_cached(void *ctx, uint64_t addr, unsigned class)
{
	unsigned *sums = ctx;
	sums[0]++;
	sums[1] += class == 3 && addr >= JE_START && addr < JE_START + 4096;
}

static void count_own(void *ctx, uint64_t addr)
{
	((unsigned *)ctx)[2] += addr == JE_STACK;
}

/* The cache is among a thread's own variables; the arena, in metadata, leads to what is in its middle. */
TEST(jemalloc_caches_until_5_2_are_told)
{
	static const struct cprof_jemalloc_cache_fns fns = { count_cached, count_own, NULL };
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	struct cprof_jemalloc_block block = { JE_META, JE_META + 4096 };
	const struct cprof_jemalloc_metadata metadata = { .all = &block, .n = 1 };
	const uint64_t ring = JE_CACHE + 904, top = JE_STACK + 1600;
	unsigned sums[3] = { 0 };
	put(pages, JE_META + 64, ring);
	put(pages, ring, ring);
	put(pages, ring + 8, ring);
	put(pages, ring + 16, JE_CACHE);
	put(pages, ring + 24, ring + 80);
	for (unsigned i = 0; i < 36; i++)
		put(pages, JE_CACHE + 24 * i + 16, top + 100ull * 8 * i);
	put(pages, JE_CACHE + 3 * 24, 2ull << 32); /* two blocks of class 3 */
	put(pages, top + 300 * 8 - 8, JE_START + 48);
	put(pages, top + 300 * 8 - 16, JE_START + 96);
	open_pages(pages, &memory);
	CHECK(!cprof_jemalloc_caches(&memory, &cprof_jemalloc_forms[2], &metadata, &fns, sums));
	CHECK_UINT(sums[0], 2);
	CHECK_UINT(sums[1], 2);
	CHECK_UINT(sums[2], 1);
	put(pages, JE_CACHE + 3 * 24, (uint64_t)INT32_MAX << 32);
	memset(sums, 0, sizeof(sums));
	reopen_pages(pages, &memory);
	CHECK(!cprof_jemalloc_caches(&memory, &cprof_jemalloc_forms[2], &metadata, &fns, sums));
	CHECK_UINT(sums[0], 0);
	put(pages, ring + 16, ring - 8); /* bins that have no room */
	memset(sums, 0, sizeof(sums));
	reopen_pages(pages, &memory);
	CHECK(!cprof_jemalloc_caches(&memory, &cprof_jemalloc_forms[2], &metadata, &fns, sums));
	CHECK_UINT(sums[2], 0);
	cprof_baseline_memory_deinit(&memory);
	free(pages);
}

/* ---- musl ---- */

TEST(musl_strides_are_those_of_its_table)
{
	CHECK_UINT(cprof_musl_stride(0), 16);
	CHECK_UINT(cprof_musl_stride(9), 160);
	CHECK_UINT(cprof_musl_stride(10), 192);
	CHECK_UINT(cprof_musl_stride(47), 131056);
}

TEST(musl_block_tells_what_was_asked_for)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	struct cprof_musl_block block;
	const struct cprof_musl_group group = {
		.addr = 0x10000, .bytes = 16 + 2 * 64, .stride = 64, .n = 2, .class = 3, .in_use = 3
	};
	uint8_t *head = at(pages, 0x10010);
	const uint32_t rest = 20;
	open_pages(pages, &memory);
	head[-3] = 3 << 5; /* slot 0, three bytes less than there are */
	CHECK(cprof_musl_block_read(&memory, &group, 0, &block));
	CHECK_UINT(block.addr, 0x10010);
	CHECK_UINT(block.bytes, 57);
	head[-3] = 5 << 5; /* more, and how many stands at the end */
	memcpy(at(pages, 0x10010 + 56), &rest, 4);
	reopen_pages(pages, &memory);
	CHECK(cprof_musl_block_read(&memory, &group, 0, &block));
	CHECK_UINT(block.bytes, 40);
	head = at(pages, 0x10050);
	head[-3] = 7 << 5; /* slot 1 begins a unit later */
	head[-2] = 1;
	head[16 - 3] = 1 | 6 << 5; /* and holds a group */
	reopen_pages(pages, &memory);
	CHECK(cprof_musl_block_read(&memory, &group, 1, &block));
	CHECK(block.is_group);
	CHECK_UINT(block.addr, 0x10060);
	head[16 - 3] = 0; /* of another slot */
	reopen_pages(pages, &memory);
	CHECK(!cprof_musl_block_read(&memory, &group, 1, &block));
	cprof_baseline_memory_deinit(&memory);
	free(pages);
}

/* ---- musl, the older one ---- */

#define OLD_DATA 0x7f0000000000ull
#define OLD_HEAP 0x7f0000100000ull

struct old_told {
	unsigned n[4], mapped;
	uint64_t bytes, areas;
};

static struct cprof_error *tell_chunk(void *ctx, const struct cprof_musl_chunk *chunk)
{
	struct old_told *told = ctx;
	told->n[chunk->kind]++;
	told->mapped += chunk->mapped;
	told->bytes += chunk->bytes;
	return NULL;
}

static struct cprof_error *tell_area(void *ctx, uint64_t start, uint64_t end)
{
	((struct old_told *)ctx)->areas += end - start;
	return NULL;
}

/* 20 chunks of 96 bytes, each third of them free, and what closes the area; a large block's mapping behind it. */
static void make_old_heap(struct pages *pages)
{
	uint64_t at = OLD_HEAP + 16, before = 1;
	for (unsigned i = 0; i < 20; i++, at += 96) {
		put(pages, at, before);
		before = 96 | (i % 3 != 0);
		put(pages, at + 8, before);
	}
	put(pages, at, before);
	put(pages, at + 8, 1);
	put(pages, OLD_HEAP + 0x1000 + 16, 16);
	put(pages, OLD_HEAP + 0x1000 + 24, 0x2000 - 16);
	put(pages, OLD_HEAP + 0x2000, 0);
}

static struct old_told read_old(struct pages *pages)
{
	static const struct cprof_musl_chunk_fns fns = { tell_chunk, tell_area };
	struct cprof_baseline_memory memory;
	struct old_told told = { 0 };
	uint64_t budget = 10000;
	open_pages(pages, &memory);
	CHECK(!cprof_musl_chunks_each(&memory, OLD_HEAP, OLD_HEAP + 0x3000, &fns, &told, &budget));
	cprof_baseline_memory_deinit(&memory);
	CHECK_UINT(told.bytes, told.areas); /* each byte of its memory is one thing */
	return told;
}

TEST(musl_oldmalloc_areas_and_large_blocks_are_told)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	make_old_heap(pages);
	const struct old_told told = read_old(pages);
	CHECK_UINT(told.n[CPROF_MUSL_USED], 13 + 1);
	CHECK_UINT(told.n[CPROF_MUSL_FREE], 7);
	CHECK_UINT(told.n[CPROF_MUSL_BROKEN], 0);
	CHECK_UINT(told.mapped, 1);
	CHECK_UINT(told.areas, 32 + 20 * 96 + 0x2000);
	free(pages);
}

TEST(musl_oldmalloc_goes_on_behind_what_does_not_fit)
{
	static const uint64_t sizes[] = { 0, 95, 96 | 8, 1ull << 46, UINT64_MAX, 0x2000, 64 | 1 };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct pages *pages = calloc(1, sizeof(*pages));
		make_old_heap(pages);
		put(pages, OLD_HEAP + 16 + 9 * 96 + 8, sizes[i]);
		const struct old_told told = read_old(pages);
		CHECK_UINT(told.n[CPROF_MUSL_BROKEN], 1);
		CHECK_UINT(told.n[CPROF_MUSL_USED] + told.n[CPROF_MUSL_FREE], 20);
		free(pages);
	}
}

TEST(musl_oldmalloc_is_known_by_its_rings)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	const uint64_t rings = OLD_DATA + 0x108;
	for (unsigned i = 10; i < 15; i++) {
		put(pages, rings + 8 + i * 24 + 8, rings + 8 + i * 24 - 8);
		put(pages, rings + 8 + i * 24 + 16, rings + 8 + i * 24 - 8);
	}
	open_pages(pages, &memory);
	CHECK(!cprof_musl_rings_find(&memory, OLD_DATA, OLD_DATA + 4096)); /* nothing is free */
	put(pages, rings, 1ull << 20);
	put(pages, rings + 8 + 20 * 24 + 8, OLD_HEAP + 16);
	put(pages, rings + 8 + 20 * 24 + 16, OLD_HEAP + 16);
	put(pages, OLD_HEAP + 16 + 24, rings + 8 + 20 * 24 - 8);
	reopen_pages(pages, &memory);
	CHECK(cprof_musl_rings_find(&memory, OLD_DATA, OLD_DATA + 4096));
	CHECK(!cprof_musl_rings_find(&memory, OLD_DATA, OLD_DATA + 1536)); /* there is no room */
	put(pages, rings + 8 + 40 * 24 + 8, OLD_DATA + 1);
	reopen_pages(pages, &memory);
	CHECK(!cprof_musl_rings_find(&memory, OLD_DATA, OLD_DATA + 4096));
	cprof_baseline_memory_deinit(&memory);
	free(pages);
}

/* ---- mimalloc ---- */

TEST(mimalloc_page_with_a_ring_of_free_blocks_is_refused)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	uint64_t bits[4];
	unsigned n;
	struct cprof_mimalloc_page page = { .start = 0x20000000000,
					    .end = 0x20000010000,
					    .block_bytes = 512,
					    .first = 0x20000000180,
					    .capacity = 10,
					    .used = 8,
					    .free = 0x20000000180 + 512,
					    .thread_free = 0x20000000180 + 3 * 512,
					    .in_use = true };
	put(pages, page.free, 0);
	put(pages, page.thread_free, 0);
	open_pages(pages, &memory);
	CHECK(cprof_mimalloc_page_free(&memory, &page, bits, &n));
	CHECK_UINT(n, 2);
	CHECK_UINT(bits[0], 10);
	put(pages, page.thread_free, page.thread_free);
	reopen_pages(pages, &memory);
	CHECK(!cprof_mimalloc_page_free(&memory, &page, bits, &n));
	put(pages, page.thread_free, page.first + 12 * 512); /* past what was ever ready */
	reopen_pages(pages, &memory);
	CHECK(!cprof_mimalloc_page_free(&memory, &page, bits, &n));
	cprof_baseline_memory_deinit(&memory);
	free(pages);
}

#define MI_ARENA 0x20000000000ull /* of 1 GiB, 11 slices of which are its head */
#define MI_MAP   0x7f0000000000ull
#define MI_SUB   0x7f0000300000ull
#define MI_SLICE (MI_ARENA + 12 * 0x10000)

/* A page with 100 blocks of 64 bytes of which 60 were ever ready, as each version describes it; where it is described. */
static uint64_t make_mi_page(struct pages *pages, unsigned form)
{
	const uint64_t at = form ? MI_ARENA + 0x700 : MI_SLICE, first = MI_SLICE + 0x200;
	const uint64_t arena = form ? MI_ARENA + 0x1000 : MI_ARENA;
	const uint64_t free = first + 3 * 64, other = (first + 5 * 64) | 1;
	put(pages, at + (form ? 16 : 8), free);
	put(pages, at + (form ? 40 : 16), form ? 57 : 57 | 60 << 16 | 100ull << 32);
	put(pages, at + (form ? 56 : 24), form ? 60 | 100 << 16 : 0);
	put(pages, at + (form ? 64 : 32), other);
	put(pages, at + (form ? 32 : 40), 64);
	put(pages, at + 48, form ? first - at : first);
	put(pages, at + 104 - (form ? 0 : 8), arena);
	put(pages, at + 112 - (form ? 0 : 8), 12 | 1ull << 32);
	put(pages, arena + 48, 0x4000);
	put(pages, arena + 56, 11);
	put(pages, first + 3 * 64, 0);
	put(pages, first + 5 * 64, 0);
	return at;
}

struct mi_told {
	unsigned n, used, free;
	uint64_t start, end, arena_bytes;
	struct cprof_baseline_memory *memory;
};

static struct cprof_error *tell_mi(void *ctx, struct cprof_mimalloc_page *page,
				   const struct cprof_mimalloc_arena *arena)
{
	struct mi_told *told = ctx;
	uint64_t bits[4];
	told->n++;
	told->used = page->used;
	told->start = page->start;
	told->end = page->end;
	told->arena_bytes = arena ? arena->end - arena->start + arena->heads : 0;
	CHECK(cprof_mimalloc_page_free(told->memory, page, bits, &told->free));
	CHECK_UINT(bits[0], 1 << 3 | 1 << 5);
	return NULL;
}

static struct mi_told read_mi(struct pages *pages, unsigned form, uint64_t *broken)
{
	struct cprof_baseline_memory memory;
	struct mi_told told = { .memory = &memory };
	const struct cprof_mimalloc_map map = { MI_MAP, form };
	open_pages(pages, &memory);
	CHECK(!cprof_mimalloc_map_each(&memory, &map, tell_mi, &told, broken));
	cprof_baseline_memory_deinit(&memory);
	return told;
}

TEST(mimalloc_maps_of_both_versions_lead_to_pages_and_their_arena)
{
	for (unsigned form = 0; form < CPROF_MIMALLOC_MAP_FORMS; form++) {
		struct pages *pages = calloc(1, sizeof(*pages));
		uint64_t broken;
		const uint64_t at = make_mi_page(pages, form);
		put(pages, MI_MAP + (MI_SLICE >> 29) * 8, MI_SUB);
		put(pages, MI_SUB + (MI_SLICE >> 16) % 8192 * 8, at);
		const struct mi_told told = read_mi(pages, form, &broken);
		CHECK_UINT(told.n, 1);
		CHECK_UINT(told.used, 57);
		CHECK_UINT(told.free, 2);
		CHECK_UINT(told.start, MI_SLICE);
		CHECK_UINT(told.end, MI_SLICE + 0x10000);
		CHECK_UINT(told.arena_bytes, (1u << 30) + 11 * 0x10000);
		free(pages);
	}
}

TEST(mimalloc_map_entries_that_cannot_be_are_none)
{
	static const struct {
		uint64_t at, word;
	} rows[] = {
		{ 16, 61 | 60 << 16 | 100ull << 32 },  /* more in use than there are */
		{ 16, 57 | 160 << 16 | 100ull << 32 }, /* more ready than there is room for */
		{ 8, MI_SLICE },                       /* a free block outside of the page */
		{ 40, 60 },                            /* blocks are multiples of 8 bytes */
		{ 40, 1ull << 46 },
		{ 48, MI_SLICE + 0x20000 }, /* of another slice */
		{ 48, 1ull << 63 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct pages *pages = calloc(1, sizeof(*pages));
		uint64_t broken;
		const uint64_t at = make_mi_page(pages, 0);
		put(pages, MI_MAP + (MI_SLICE >> 29) * 8, MI_SUB);
		put(pages, MI_SUB + (MI_SLICE >> 16) % 8192 * 8, at);
		put(pages, at + rows[i].at, rows[i].word);
		CHECK_UINT(read_mi(pages, 0, &broken).n, 0);
		CHECK(broken > 0);
		free(pages);
	}
}

/* ---- gperftools ---- */

TEST(tcmalloc_span_with_a_block_outside_is_refused)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	uint64_t bits[8];
	unsigned n;
	const struct cprof_tcmalloc tcmalloc = { .n_classes = 2, .bytes = { 0, 64 } };
	struct cprof_tcmalloc_span span = {
		.start = 0x50000, .bytes = 8192, .class = 1, .objects = 0x50040
	};
	put(pages, 0x50040, 0x50100);
	put(pages, 0x50100, 0);
	open_pages(pages, &memory);
	CHECK(cprof_tcmalloc_span_free(&memory, &tcmalloc, &span, bits, &n));
	CHECK_UINT(n, 2);
	CHECK_UINT(bits[0], 1 << 1 | 1 << 4);
	put(pages, 0x50100, 0x52000);
	reopen_pages(pages, &memory);
	CHECK(!cprof_tcmalloc_span_free(&memory, &tcmalloc, &span, bits, &n));
	put(pages, 0x50100, 0x50041);
	reopen_pages(pages, &memory);
	CHECK(!cprof_tcmalloc_span_free(&memory, &tcmalloc, &span, bits, &n));
	cprof_baseline_memory_deinit(&memory);
	free(pages);
}
