/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "attach/heap/baseline/jemalloc_tree.h"
#include "attach/heap/baseline/mimalloc_segments.h"
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

/* ---- jemalloc ---- */

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

/* A slab of 16-byte blocks, two of them free, and the tree that leads to it. */
static void make_tree(struct pages *pages)
{
	const uint64_t word = 1ull << 48 | JE_DESC | 1;
	put(pages, JE_ROOT + (JE_START >> 30) * 8, JE_LEAF);
	put(pages, JE_LEAF + (JE_START >> 12) % (1 << 18) * 8, word);
	put(pages, JE_DESC, 3 | 1ull << 12 | 1ull << 13 | 1ull << 20 | 2ull << 28);
	put(pages, JE_DESC + 8, JE_START);
	put(pages, JE_DESC + 16, 4096);
	put(pages, JE_DESC + 64, 5);
}

TEST(jemalloc_tree_proves_itself)
{
	struct pages *pages = calloc(1, sizeof(*pages));
	struct cprof_baseline_memory memory;
	struct cprof_jemalloc_extent extent;
	make_tree(pages);
	open_pages(pages, &memory);
	CHECK(cprof_jemalloc_tree_at(&memory, JE_ROOT, JE_START + 100, &extent));
	CHECK_UINT(extent.start, JE_START);
	CHECK_UINT(extent.arena, 3);
	CHECK_UINT(extent.class, 1);
	CHECK_UINT(extent.n_free, 2);
	CHECK_UINT(extent.free[0], 5);
	CHECK(!cprof_jemalloc_tree_at(&memory, JE_ROOT, JE_START + 4096, &extent));
	put(pages, JE_DESC, 3 | 1ull << 12 | 2ull << 20); /* another class than the leaf says */
	reopen_pages(pages, &memory);
	CHECK(!cprof_jemalloc_tree_at(&memory, JE_ROOT, JE_START, &extent));
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
