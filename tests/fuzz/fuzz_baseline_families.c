/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes as the memory of a process in which an allocator is looked for, and read where it is found: by the first byte, which one. What is
 * at any address is the input, over and over, so that all pointers lead somewhere. It ends, and what is told adds up.
 */
#include <stdlib.h>
#include <string.h>

#include "attach/heap/baseline/baseline_memory.h"
#include "attach/heap/baseline/google_samples.h"
#include "attach/heap/baseline/jemalloc_cache.h"
#include "attach/heap/baseline/jemalloc_samples.h"
#include "attach/heap/baseline/jemalloc_tree.h"
#include "attach/heap/baseline/mimalloc_map.h"
#include "attach/heap/baseline/mimalloc_segments.h"
#include "attach/heap/baseline/musl_chunks.h"
#include "attach/heap/baseline/musl_groups.h"
#include "attach/heap/baseline/tcmalloc_caches.h"
#include "attach/heap/baseline/tcmalloc_spans.h"
#include "attach/heap/baseline/tcmalloc_stacks.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct image {
	const uint8_t *bytes;
	size_t n;
};

static bool read_image(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct image *image = ctx;
	if ((addr >> 12) * 0x9e3779b97f4a7c15ull >> 61)
		return false; /* seven pages of eight */
	for (size_t done = 0; done < n;) {
		const size_t at = (addr + done) % image->n;
		const size_t now = image->n - at < n - done ? image->n - at : n - done;
		memcpy((uint8_t *)buf + done, image->bytes + at, now);
		done += now;
	}
	return true;
}

/* ---- jemalloc ---- */

struct jemalloc_ctx {
	struct cprof_baseline_memory *memory;
	struct cprof_jemalloc_samples samples;
	struct cprof_baseline_stacks stacks;
};

static struct cprof_error *on_extent(void *ctx, const struct cprof_jemalloc_extent *extent)
{
	struct jemalloc_ctx *it = ctx;
	if (!extent->size || extent->start % 4096 || extent->size % 4096 ||
	    extent->class > CPROF_JEMALLOC_CLASSES)
		abort();
	return cprof_jemalloc_samples_note(&it->samples, it->memory, &it->stacks, extent,
					   extent->arena & 1, extent->size);
}

/* Every stack that was believed can be told, and every sample has one. */
static void check_samples(const struct jemalloc_ctx *it)
{
	uint64_t addrs[CPROF_BASELINE_DEPTH];
	unsigned lg;
	static const uint64_t in_use[CPROF_JEMALLOC_CLASSES] = { 1, 1000, 100000 };
	cprof_jemalloc_samples_rate(&it->samples, &lg);
	cprof_jemalloc_samples_rate_of_share(&it->samples, in_use, &lg);
	if (lg >= 48)
		abort();
	for (uint32_t i = 0; i < it->samples.n; i++) {
		const uint32_t counts = it->samples.all[i].counts;
		if (counts >= it->samples.n_counts ||
		    !cprof_baseline_stacks_get(&it->stacks, it->samples.counts[counts].stack,
					       addrs))
			abort();
	}
}

static void on_cached(void *ctx, uint64_t addr, unsigned class)
{
	(void)ctx;
	(void)addr;
	if (class >= CPROF_JEMALLOC_CLASSES)
		abort();
}

static void on_own(void *ctx, uint64_t addr)
{
	(void)ctx;
	(void)addr;
}

static void jemalloc(struct cprof_baseline_memory *memory, uint64_t addr)
{
	static const struct cprof_jemalloc_cache_fns fns = { on_cached, on_own, NULL };
	struct jemalloc_ctx it = { .memory = memory };
	struct cprof_jemalloc_metadata metadata = { 0 };
	struct cprof_jemalloc_extent extent;
	uint64_t broken;
	struct cprof_jemalloc_tree tree = {
		addr, &cprof_jemalloc_forms[addr / 4096 % CPROF_JEMALLOC_FORMS]
	};
	cprof_jemalloc_tree_find(memory, addr, addr + 4096, &tree);
	cprof_jemalloc_tree_at(memory, &tree, addr, &extent);
	struct cprof_error *err = cprof_baseline_stacks_init(&it.stacks);
	if (!err && addr % 16 == 0)
		err = cprof_jemalloc_tree_each(memory, &tree, on_extent, &it, &broken);
	if (!err)
		check_samples(&it);
	if (!err)
		err = cprof_jemalloc_metadata_note(&metadata, memory, addr);
	/* A block of metadata that is really there has so many pages. */
	for (uint32_t i = 0; i < metadata.n; i++)
		metadata.all[i].end = metadata.all[i].start + 4096;
	if (!err)
		err = cprof_jemalloc_caches(memory, tree.form, &metadata, &fns, NULL);
	cprof_error_free(err);
	cprof_jemalloc_metadata_deinit(&metadata);
	cprof_jemalloc_samples_deinit(&it.samples);
	cprof_baseline_stacks_deinit(&it.stacks);
}

/* ---- musl ---- */

static struct cprof_error *on_group(void *ctx, const struct cprof_musl_group *group)
{
	struct cprof_baseline_memory *memory = ctx;
	if (group->n > 32 || group->stride * group->n + 16 > group->bytes)
		abort();
	for (unsigned i = 0; i < group->n; i++) {
		struct cprof_musl_block block;
		const uint64_t start = group->addr + 16 + group->stride * i;
		if (cprof_musl_block_read(memory, group, i, &block) &&
		    (block.addr < start || block.addr + block.bytes > start + group->stride))
			abort();
	}
	return NULL;
}

static struct cprof_error *on_area(void *ctx, uint64_t start, uint64_t end)
{
	(void)ctx;
	(void)start;
	(void)end;
	return NULL;
}

static void musl(struct cprof_baseline_memory *memory, uint64_t addr)
{
	static const struct cprof_musl_fns fns = { on_group, on_area, .unproved = false };
	struct cprof_musl_context context;
	uint64_t broken;
	addr &= (1ull << 47) - 1;
	if (!cprof_musl_context_find(memory, addr, addr + 8192, &context)) {
		context.areas = addr & ~4095ull;
		memory->memory.read(memory->memory.ctx, context.areas, &context.secret, 8);
	}
	cprof_error_free(cprof_musl_groups_each(memory, &context, &fns, memory, &broken));
}

static struct cprof_error *on_chunk(void *ctx, const struct cprof_musl_chunk *chunk)
{
	uint64_t *bytes = ctx;
	if (!chunk->bytes || (chunk->kind == CPROF_MUSL_USED && chunk->bytes % 32))
		abort();
	*bytes += chunk->bytes;
	return NULL;
}

/* What was told of an area is all of it. */
static struct cprof_error *on_chunks(void *ctx, uint64_t start, uint64_t end)
{
	uint64_t *bytes = ctx;
	if (*bytes != end - start)
		abort();
	*bytes = 0;
	return NULL;
}

static void musl_old(struct cprof_baseline_memory *memory, uint64_t addr)
{
	static const struct cprof_musl_chunk_fns fns = { on_chunk, on_chunks };
	uint64_t budget = 1u << 16, bytes = 0;
	addr &= (1ull << 46) - 1;
	cprof_musl_rings_find(memory, addr, addr + 8192);
	cprof_error_free(
		cprof_musl_chunks_each(memory, addr, addr + (1u << 20), &fns, &bytes, &budget));
}

/* ---- mimalloc ---- */

static void mimalloc(struct cprof_baseline_memory *memory, uint64_t addr)
{
	static struct cprof_mimalloc_segment segment;
	static uint64_t bits[CPROF_MIMALLOC_BLOCKS / 64];
	struct cprof_mimalloc_page page;
	struct cprof_map64 delayed = { 0 };
	unsigned n, entry = 0;
	addr &= ~(CPROF_MIMALLOC_SEGMENT - 1);
	if (!cprof_mimalloc_segment_read(memory, addr, &segment))
		return;
	while (cprof_mimalloc_page_next(&segment, &entry, &page)) {
		if (page.start >= page.end || page.end > segment.addr + segment.bytes ||
		    (page.in_use && !page.block_bytes))
			abort();
		if (page.in_use && cprof_mimalloc_page_free(memory, &page, bits, &n) &&
		    (n > page.capacity || page.capacity * page.block_bytes > page.end - page.first))
			abort();
		cprof_error_free(
			cprof_mimalloc_heap_delayed(memory, page.heap, page.form, &delayed));
	}
	cprof_map64_deinit(&delayed);
}

struct map_ctx {
	struct cprof_baseline_memory *memory;
	uint64_t done;
};

static struct cprof_error *on_map_page(void *ctx, struct cprof_mimalloc_page *page,
				       const struct cprof_mimalloc_arena *arena)
{
	static uint64_t bits[CPROF_MIMALLOC_BLOCKS / 64];
	struct map_ctx *it = ctx;
	unsigned n;
	if (page->start < it->done || page->end <= page->start || !page->block_bytes ||
	    page->capacity * page->block_bytes > page->end - page->first ||
	    (arena && (arena->start >= page->start || arena->end < page->end ||
		       arena->start + arena->heads > page->start)))
		abort();
	it->done = page->end;
	if (cprof_mimalloc_page_free(it->memory, page, bits, &n) && n > page->capacity)
		abort();
	return NULL;
}

static void mimalloc_map(struct cprof_baseline_memory *memory, uint64_t addr)
{
	struct map_ctx it = { .memory = memory };
	struct cprof_mimalloc_map map = { addr & ~7ull, addr / 4096 % CPROF_MIMALLOC_MAP_FORMS };
	uint64_t broken;
	cprof_mimalloc_map_find(memory, addr, addr + 4096, &map);
	cprof_error_free(cprof_mimalloc_map_each(memory, &map, on_map_page, &it, &broken));
}

/* ---- gperftools ---- */

struct tcmalloc_ctx {
	struct cprof_baseline_memory *memory;
	struct cprof_tcmalloc tcmalloc;
};

static struct cprof_error *on_span(void *ctx, const struct cprof_tcmalloc_span *span)
{
	static uint64_t bits[CPROF_TCMALLOC_BLOCKS / 64];
	struct tcmalloc_ctx *it = ctx;
	unsigned n = 0;
	if (!span->bytes || span->start % CPROF_TCMALLOC_PAGE || span->bytes % CPROF_TCMALLOC_PAGE)
		abort();
	if (span->class && cprof_tcmalloc_span_free(it->memory, &it->tcmalloc, span, bits, &n) &&
	    n * (uint64_t)it->tcmalloc.bytes[span->class] > span->bytes)
		abort();
	return NULL;
}

static struct cprof_error *on_cached_block(void *ctx, uint64_t addr, unsigned class)
{
	const struct tcmalloc_ctx *it = ctx;
	if (!addr || class >= it->tcmalloc.n_classes)
		abort();
	return NULL;
}

static void gperftools(struct cprof_baseline_memory *memory, uint64_t addr)
{
	static const struct cprof_tcmalloc_fns fns = { on_span, on_area };
	struct tcmalloc_ctx it = { .memory = memory };
	uint64_t broken;
	unsigned caches;
	if (!cprof_tcmalloc_find(memory, addr, addr + 8192, &it.tcmalloc))
		it.tcmalloc = (struct cprof_tcmalloc){ .start = addr,
						       .end = addr + 8192,
						       .root = addr & ~7ull,
						       .central = addr & ~7ull,
						       .n_classes = 3,
						       .bytes = { 0, 8, 16 } };
	struct cprof_error *err =
		cprof_tcmalloc_caches_each(memory, &it.tcmalloc, on_cached_block, &it, &caches);
	if (!err)
		err = cprof_tcmalloc_spans(memory, &it.tcmalloc, &fns, &it, &broken);
	cprof_error_free(err);
}

/* ---- stacks that gperftools' and Google's keep ---- */

static struct cprof_error *on_growth(void *ctx, const struct cprof_tcmalloc_stack *stack)
{
	(void)ctx;
	if (!stack->n || stack->n > CPROF_TCMALLOC_DEPTH)
		abort();
	return NULL;
}

static struct cprof_error *on_google(void *ctx, const struct cprof_google_sample *sample)
{
	(void)ctx;
	if (!sample->n || sample->n > CPROF_GOOGLE_DEPTH || !sample->bytes || !sample->weight)
		abort();
	return NULL;
}

/* Half of all addresses lead to code. */
static bool map_code(struct cprof_maps *maps)
{
	static const char text[] = "1000-400000000000 r-xp 00000000 08:01 5 /bin/it\n";
	cprof_maps_init(maps, 0, (struct cprof_memory){ 0 });
	struct cprof_error *err = cprof_maps_parse(maps, text, sizeof(text) - 1);
	cprof_error_free(err);
	return !err;
}

static void kept_stacks(struct cprof_baseline_memory *memory, uint64_t addr)
{
	struct cprof_maps maps;
	if (!map_code(&maps))
		return;
	struct cprof_google google = { .maps = &maps };
	const struct cprof_tcmalloc tcmalloc = { .start = addr, .end = addr + 8192 };
	uint64_t broken;
	cprof_google_find(memory, addr, addr + 8192, &google);
	if (!google.first)
		google.first = addr & ~7ull;
	for (google.form = 0; google.form < 5; google.form++)
		cprof_error_free(
			cprof_google_samples_each(memory, &google, on_google, NULL, &broken));
	cprof_error_free(cprof_tcmalloc_growth_each(memory, &maps, &tcmalloc, on_growth, NULL));
	cprof_maps_deinit(&maps);
}

static void (*const families[])(struct cprof_baseline_memory *memory, uint64_t addr) = {
	jemalloc, musl, mimalloc, gperftools, kept_stacks, mimalloc_map, musl_old,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image image = { data + 16, size - 16 };
	struct cprof_baseline_memory memory;
	uint64_t addr;
	if (size < 32)
		return 0;
	memcpy(&addr, data + 8, 8);
	if (cprof_baseline_memory_init(&memory, 0, (struct cprof_memory){ read_image, &image }))
		families[data[0] % (sizeof(families) / sizeof(families[0]))](&memory, addr >> 17);
	cprof_baseline_memory_deinit(&memory);
	return 0;
}
