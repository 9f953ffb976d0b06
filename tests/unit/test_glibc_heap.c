/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_mapped.h"

#include <math.h>

#include "tests/unit/glibc_image.h"
#include "tests/unit/test.h"

#define USED  CPROF_GLIBC_PREV_IN_USE
#define OTHER CPROF_GLIBC_OTHER_ARENA

static const struct cprof_baseline_sum *part(const struct cprof_baseline_account *account,
					     enum cprof_baseline_part part)
{
	CHECK_UINT(account->n_allocators, 1);
	return &account->allocators[0].totals.parts[part];
}

/* Every byte of the ranges is one thing. */
static void check_sum(const struct cprof_baseline_account *account)
{
	uint64_t parts = 0, ranges = 0;
	for (unsigned i = 0; i < CPROF_BASELINE_N_PARTS; i++)
		parts += part(account, (enum cprof_baseline_part)i)->bytes;
	for (uint32_t i = 0; i < account->n_ranges; i++)
		ranges += account->ranges[i].end - account->ranges[i].start;
	CHECK_UINT(parts, ranges);
}

static void check(struct glibc_image *image, uint64_t in_use, uint64_t cached, uint64_t untold)
{
	struct cprof_baseline_account account;
	CHECK(image_account(image, NULL, &account));
	CHECK_UINT(part(&account, CPROF_BASELINE_IN_USE)->objects, in_use);
	CHECK_UINT(part(&account, CPROF_BASELINE_CACHED)->objects, cached);
	CHECK_UINT(part(&account, CPROF_BASELINE_UNTOLD)->bytes, untold);
	check_sum(&account);
	cprof_baseline_account_deinit(&account);
}

/* `n` chunks of `size` from `at` on, then the top. */
static uint64_t fill(struct glibc_image *image, uint64_t at, unsigned n, uint64_t size)
{
	for (unsigned i = 0; i < n; i++)
		at = image_chunk(image, at, size, USED);
	image_top(image, IMAGE_ARENA, at, IMAGE_HEAP + IMAGE_BYTES);
	return at;
}

TEST(glibc_heap_nothing_is_held_in_a_heap_that_is_all_top)
{
	struct glibc_image *image = image_new(48);
	check(image, 0, 0, 0);
	image_free(image);
}

TEST(glibc_heap_no_arena_is_no_allocator)
{
	struct glibc_image *image = image_new(48);
	struct cprof_baseline_account account;
	memset(image->bytes[PART_DATA], 0, IMAGE_BYTES);
	memset(image->bytes[PART_OTHER], 0, IMAGE_BYTES);
	CHECK(!image_account(image, NULL, &account));
	cprof_baseline_account_deinit(&account);
	image_free(image);
}

TEST(glibc_heap_the_main_arena_is_found_from_another_ones_heap)
{
	struct glibc_image *image = image_new(48);
	char text[] = "55550000a000-55550001a000 rw-p 00000000 00:00 0 [heap]\n"
		      "7e0004000000-7e0004010000 rw-p 00000000 00:00 0 \n";
	fill(image, IMAGE_HEAP, 7, 64);
	CHECK(!cprof_maps_parse(&image->maps, text, sizeof(text) - 1));
	check(image, 7, 0, 0);
	image_free(image);
}

TEST(glibc_heap_chunks_in_use_free_ones_and_top_are_told_apart)
{
	struct glibc_image *image = image_new(48);
	struct cprof_baseline_account account;
	uint64_t at = fill(image, IMAGE_HEAP, 10, 48);
	const uint64_t hole = at;
	at = image_chunk(image, at, 320, USED);
	image_put(image, at, 320);
	at = image_chunk(image, at, 4096, 0);
	image_top(image, IMAGE_ARENA, at, IMAGE_HEAP + IMAGE_BYTES);
	CHECK(image_account(image, NULL, &account));
	CHECK_UINT(part(&account, CPROF_BASELINE_IN_USE)->objects, 11);
	CHECK_UINT(part(&account, CPROF_BASELINE_IN_USE)->bytes, 10 * 40 + 4088);
	CHECK_UINT(part(&account, CPROF_BASELINE_FREE)->bytes, 320);
	CHECK_UINT(account.allocators[0].totals.resyncs, 0);
	CHECK_UINT(account.allocators[0].totals.error_bytes, 0);
	CHECK(cprof_baseline_blocks_has(&account.blocks, IMAGE_HEAP + 16));
	CHECK(!cprof_baseline_blocks_has(&account.blocks, hole + 16));
	check_sum(&account);
	cprof_baseline_account_deinit(&account);
	image_free(image);
}

TEST(glibc_heap_other_arenas_begin_behind_both_kinds_of_header)
{
	for (uint64_t info = 32; info <= 48; info += 16) {
		struct glibc_image *image = image_new(info);
		uint64_t at = image_other_first(image);
		for (unsigned i = 0; i < 5; i++)
			at = image_chunk(image, at, 96, USED | OTHER);
		image_top(image, IMAGE_OTHER + info, at, IMAGE_OTHER + IMAGE_BYTES);
		fill(image, IMAGE_HEAP, 3, 32);
		check(image, 8, 0, 0);
		image_free(image);
	}
}

/* glibc 2.43 */
TEST(glibc_heap_arenas_without_fastbins_are_known_alone_and_in_a_ring)
{
	for (unsigned alone = 0; alone < 2; alone++) {
		struct glibc_image *image = image_new_form(48, CPROF_GLIBC_ARENA_SHORTER);
		const uint64_t other = IMAGE_OTHER + image->info_bytes;
		uint64_t at = image_other_first(image);
		for (unsigned i = 0; i < 5; i++)
			at = image_chunk(image, at, 96, USED | OTHER);
		image_top(image, other, at, IMAGE_OTHER + IMAGE_BYTES);
		fill(image, IMAGE_HEAP, 3, 32);
		if (alone) {
			image_arena(image, IMAGE_ARENA, IMAGE_ARENA);
			memset(image->bytes[2], 0, IMAGE_BYTES);
		}
		check(image, alone ? 3 : 8, 0, 0);
		image_free(image);
	}
}

TEST(glibc_heap_a_header_at_the_end_of_a_page_needs_no_next_page)
{
	struct glibc_image *image = image_new(48);
	const uint64_t page = IMAGE_HEAP + 0x3000;
	fill(image, IMAGE_HEAP, 3, 48);
	const uint64_t large =
		image_chunk(image, IMAGE_HEAP + 3 * 48, page - 16 - IMAGE_HEAP - 3 * 48, USED);
	image_put(image, large + 8, 0x2010 | USED);
	fill(image, large + 0x2010, 2, 48);
	image->not_there = page;
	check(image, 7, 0, 0);
	image_free(image);
}

TEST(glibc_heap_a_heap_that_has_grown_since_its_mapping_was_read_is_not_missed)
{
	static const struct {
		const char *behind;
		uint64_t in_use;
	} cases[] = {
		{ "7e0004008000-7e0008000000 ---p 00000000 00:00 0 \n", 9 },
		/* It says more than there is. */
		{ "7e0004008000-7e0008000000 r--p 00000000 00:00 0 \n", 3 },
		{ "7e0004009000-7e0008000000 ---p 00000000 00:00 0 \n", 3 },
		{ "", 3 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct glibc_image *image = image_new(48);
		char text[512];
		uint64_t at = image_other_first(image);
		for (unsigned k = 0; k < 6; k++)
			at = image_chunk(image, at, 4096, USED | OTHER);
		image_top(image, IMAGE_OTHER + 48, at, IMAGE_OTHER + IMAGE_BYTES);
		fill(image, IMAGE_HEAP, 3, 32);
		const int n = snprintf(
			text, sizeof(text),
			"55550000a000-55550001a000 rw-p 00000000 00:00 0 [heap]\n"
			"7e0004000000-7e0004008000 rw-p 00000000 00:00 0 \n%s"
			"7f0000400000-7f0000410000 rw-p 001d0000 fe:00 77 /lib/libc.so.6\n",
			cases[i].behind);
		CHECK(!cprof_maps_parse(&image->maps, text, (size_t)n));
		check(image, cases[i].in_use, 0, 0);
		image_free(image);
	}
}

TEST(glibc_heap_a_heap_that_is_full_ends_in_fences)
{
	struct glibc_image *image = image_new(48);
	uint64_t at = image_other_first(image);
	at = image_chunk(image, at, 96, USED | OTHER);
	at = image_chunk(image, at, IMAGE_OTHER + IMAGE_BYTES - 32 - at, USED | OTHER);
	image_chunk(image, at, 16, USED);
	image_put(image, at + 24, USED);
	image_put(image, IMAGE_OTHER + 48 + CPROF_GLIBC_ARENA_TOP, IMAGE_LARGE);
	check(image, 2, 0, 0);
	image_free(image);
}

TEST(glibc_heap_behind_a_broken_header_it_goes_on)
{
	static const uint64_t broken[] = { 0, 8, 0x7fffffffffffff00, 48 | USED | 8, 0x30000, 50 };
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		struct glibc_image *image = image_new(48);
		fill(image, IMAGE_HEAP, 100, 48);
		image_put(image, IMAGE_HEAP + 50 * 48 + 8, broken[i]);
		/* The one whose header is broken, and the one before it, which nothing closes. */
		check(image, 98, 0, 96);
		image_free(image);
	}
}

TEST(glibc_heap_nothing_but_noise_ends)
{
	struct glibc_image *image = image_new(48);
	uint64_t seed = 1;
	fill(image, IMAGE_HEAP, 4, 48);
	for (uint64_t at = IMAGE_HEAP + 4 * 48 + 8; at < IMAGE_HEAP + IMAGE_BYTES; at += 8) {
		seed = seed * 6364136223846793005u + 1;
		image_put(image, at, seed >> 20 & 0xfff1);
	}
	image_put(image, IMAGE_ARENA + CPROF_GLIBC_ARENA_TOP, IMAGE_HEAP + 0xff00);
	struct cprof_baseline_account account;
	CHECK(image_account(image, NULL, &account));
	check_sum(&account);
	cprof_baseline_account_deinit(&account);
	image_free(image);
}

/* ---- lists ---- */

static const struct {
	uint64_t chunk;
	unsigned count_bytes, bins;
	bool crossed;
} caches[] = { { 0x250, 1, 64, false },  /* 2.28 */
	       { 0x290, 2, 64, false },  /* 2.30 */
	       { 0x290, 2, 64, true },   /* 2.32 */
	       { 0x300, 2, 76, true } }; /* 2.42 */

static void link_to(struct glibc_image *image, uint64_t from, uint64_t to, bool crossed)
{
	image_put(image, from, crossed ? cprof_glibc_reveal(from, to) : to);
}

/* A thread's cache at the beginning of the heap, with blocks 0, 2, 4 of the 20 of 64 bytes behind it in its list. */
static struct glibc_image *with_cache(size_t kind)
{
	struct glibc_image *image = image_new(48);
	const uint64_t first = image_chunk(image, IMAGE_HEAP, caches[kind].chunk, USED);
	const uint64_t heads =
		IMAGE_HEAP + 16 + (uint64_t)caches[kind].bins * caches[kind].count_bytes;
	fill(image, first, 20, 64);
	image_put(image, heads + 2 * 8, first + 16);
	link_to(image, first + 16, first + 2 * 64 + 16, caches[kind].crossed);
	link_to(image, first + 2 * 64 + 16, first + 4 * 64 + 16, caches[kind].crossed);
	link_to(image, first + 4 * 64 + 16, 0, caches[kind].crossed);
	return image;
}

TEST(glibc_heap_threads_caches_of_all_versions_are_taken_out)
{
	for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++) {
		struct glibc_image *image = with_cache(i);
		check(image, 17, 3, 0);
		image_free(image);
	}
}

TEST(glibc_heap_a_block_of_a_caches_size_is_a_block)
{
	struct glibc_image *image = image_new(48);
	uint64_t at = image_chunk(image, IMAGE_HEAP, 0x290, USED);
	memset(image_place(image, IMAGE_HEAP + 16), 'x', 0x280);
	fill(image, at, 5, 64);
	/* Of a list of 48 bytes, and there is a block of 64. */
	image_put(image, IMAGE_HEAP + 16 + 128 + 8, at + 16);
	check(image, 6, 0, 0);
	image_free(image);
}

TEST(glibc_heap_a_list_that_leads_to_itself_ends)
{
	struct glibc_image *image = with_cache(2);
	const uint64_t first = IMAGE_HEAP + 0x290;
	link_to(image, first + 4 * 64 + 16, first + 16, true);
	check(image, 17, 3, 0);
	image_free(image);
}

TEST(glibc_heap_fastbins_are_taken_out)
{
	for (unsigned crossed = 0; crossed < 2; crossed++) {
		struct glibc_image *image = image_new(48);
		fill(image, IMAGE_HEAP, 50, 48);
		image_put(image, IMAGE_ARENA + CPROF_GLIBC_ARENA_FASTBINS + 8, IMAGE_HEAP);
		for (unsigned i = 0; i < 30; i++)
			link_to(image, IMAGE_HEAP + i * 48 + 16,
				i < 29 ? IMAGE_HEAP + (i + 1) * 48 : 0, crossed);
		check(image, 20, 30, 0);
		image_free(image);
	}
}

/* ---- blocks with mappings of their own ---- */

TEST(glibc_heap_large_blocks_begin_at_pages)
{
	static const struct {
		uint64_t prev, size, left, want;
	} rows[] = {
		{ 0, 0x5000 | 2, 0x5000, 0x5000 },
		{ 0, 0x4ff0 | 2, 0x5000, 0x5000 },
		{ 0, 0x5000 | 2, 0x4000, 0 },
		{ 0, 0x5000 | 3, 0x5000, 0 },
		{ 0, 0x5000, 0x5000, 0 },
		{ 0x10, 0x5000 | 2, 0x5000, 0 },
		{ 0, 2, 0x5000, 0 },
		{ 0, 0x5010 | 2, 0x9000, 0 },
		{ 0, UINT64_MAX & ~5ull, 0x5000, 0 },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const uint64_t words[] = { rows[i].prev, rows[i].size };
		CHECK_UINT(cprof_glibc_mapped_bytes(words, 0x7000, 0x7000 + rows[i].left),
			   rows[i].want);
	}
}

TEST(glibc_heap_large_blocks_lie_side_by_side)
{
	struct glibc_image *image = image_new(48);
	image_chunk(image, IMAGE_LARGE + 0x1000, 0x3000, CPROF_GLIBC_MAPPED);
	image_chunk(image, IMAGE_LARGE + 0x4000, 0x2000, CPROF_GLIBC_MAPPED);
	check(image, 2, 0, 0);
	image_free(image);
}

/* No list of an arena has such blocks, but what was overwritten may say so. */
TEST(glibc_heap_a_list_that_leads_to_a_mapping_of_its_own_ends)
{
	for (unsigned crossed = 0; crossed < 2; crossed++) {
		struct glibc_image *image = image_new(48);
		const uint64_t large = IMAGE_LARGE + 0x1000;
		fill(image, IMAGE_HEAP, 10, 48);
		image_chunk(image, large, 0x3000, CPROF_GLIBC_MAPPED);
		image_put(image, IMAGE_ARENA + CPROF_GLIBC_ARENA_FASTBINS + 8, IMAGE_HEAP);
		link_to(image, IMAGE_HEAP + 16, large, crossed);
		link_to(image, large + 16, large, crossed);
		check(image, 10, 1, 0);
		image_free(image);
	}
}

/* ---- what was there before ---- */

TEST(glibc_heap_only_what_was_there_before_counts)
{
	struct glibc_image *image = image_new(48);
	struct cprof_baseline_account before, now;
	fill(image, IMAGE_HEAP, 10, 48);
	CHECK(image_account(image, NULL, &before));
	/* Two are freed together, then five more come. */
	uint64_t at = image_chunk(image, IMAGE_HEAP + 3 * 48, 96, USED);
	image_put(image, at, 96);
	image_chunk(image, at, 48, 0);
	fill(image, IMAGE_HEAP + 10 * 48, 5, 48);
	CHECK(image_account(image, &before, &now));
	CHECK_UINT(part(&now, CPROF_BASELINE_IN_USE)->objects, 13);
	CHECK_UINT(now.rows[0].objects, 8);
	CHECK_UINT(now.rows[0].bytes, 8 * 40);
	cprof_baseline_account_deinit(&now);
	cprof_baseline_account_deinit(&before);
	image_free(image);
}

TEST(glibc_heap_younger_blocks_at_old_places_are_taken_out_as_estimated)
{
	struct glibc_image *image = image_new(48);
	struct cprof_baseline_account before, now;
	void *place = NULL;
	fill(image, IMAGE_HEAP, 10, 48);
	CHECK(image_account(image, NULL, &before));
	CHECK(!cprof_baseline_account_init(&now, &before));
	CHECK(!cprof_baseline_account_fresh(&now, IMAGE_HEAP + 16, 2.5));
	CHECK(!cprof_baseline_account_fresh(&now, IMAGE_HEAP + 48 + 16, 1));
	CHECK(!cprof_baseline_account_fresh(&now, IMAGE_LARGE, 100));
	CHECK(!cprof_baseline_glibc.find(&image->target, &place));
	CHECK(!cprof_baseline_glibc.read(&image->target, place, &now));
	cprof_baseline_glibc.free_place(place);
	CHECK_UINT(cprof_baseline_account_settle(&now), 140);
	CHECK_UINT(now.rows[0].objects, 6);
	CHECK_UINT(now.rows[0].bytes, 260);
	cprof_baseline_account_deinit(&now);
	cprof_baseline_account_deinit(&before);
	image_free(image);
}

TEST(baseline_account_a_weight_without_end_takes_out_all)
{
	struct glibc_image *image = image_new(48);
	struct cprof_baseline_account before, now;
	void *place = NULL;
	fill(image, IMAGE_HEAP, 10, 48);
	CHECK(image_account(image, NULL, &before));
	CHECK(!cprof_baseline_account_init(&now, &before));
	CHECK(!cprof_baseline_account_fresh(&now, IMAGE_HEAP + 16, INFINITY));
	CHECK(!cprof_baseline_glibc.find(&image->target, &place));
	CHECK(!cprof_baseline_glibc.read(&image->target, place, &now));
	cprof_baseline_glibc.free_place(place);
	cprof_baseline_account_settle(&now);
	CHECK_UINT(now.rows[0].objects, 0);
	CHECK_UINT(now.rows[0].bytes, 0);
	cprof_baseline_account_deinit(&now);
	cprof_baseline_account_deinit(&before);
	image_free(image);
}

TEST(baseline_account_counts_without_blocks_are_at_most_those_before)
{
	struct cprof_baseline_account before, now;
	struct cprof_baseline_class class = { .low = 64, .high = 64 };
	uint32_t row, other;
	CHECK(!cprof_baseline_account_init(&before, NULL));
	CHECK(!cprof_baseline_account_allocator(&before, "x", &class.allocator));
	CHECK(!cprof_intern_text(&before.texts, "arena 7", &class.arena));
	CHECK(!cprof_baseline_account_row(&before, &class, &row));
	cprof_baseline_account_count(&before, row, 10, 640);

	CHECK(!cprof_baseline_account_init(&now, &before));
	CHECK(!cprof_baseline_account_allocator(&now, "y", &other));
	CHECK(!cprof_baseline_account_allocator(&now, "x", &class.allocator));
	CHECK(!cprof_intern_text(&now.texts, "another text", &other));
	CHECK(!cprof_intern_text(&now.texts, "arena 7", &class.arena));
	CHECK(!cprof_baseline_account_row(&now, &class, &row));
	cprof_baseline_account_count(&now, row, 12, 768);
	CHECK_UINT(now.rows[row].objects, 10);
	CHECK_UINT(now.rows[row].bytes, 640);
	class.arena = other;
	CHECK(!cprof_baseline_account_row(&now, &class, &row));
	cprof_baseline_account_count(&now, row, 12, 768);
	CHECK_UINT(now.rows[row].objects, 0);
	CHECK_UINT(cprof_baseline_account_totals(&now).parts[CPROF_BASELINE_IN_USE].objects, 24);
	cprof_baseline_account_deinit(&now);
	cprof_baseline_account_deinit(&before);
}
