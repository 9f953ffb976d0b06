/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/unit/glibc_image.h - the memory of a process that uses glibc's malloc, in arrays: data of the C library with the main
 * arena, its heap, a heap of another arena, and a mapping for large blocks. For the walker's unit tests and its fuzz target.
 */
#ifndef CPROF_TESTS_UNIT_GLIBC_IMAGE_H
#define CPROF_TESTS_UNIT_GLIBC_IMAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/glibc_layout.h"

#define IMAGE_BYTES ((uint64_t)0x10000)
#define IMAGE_DATA  0x7f0000400000ull
#define IMAGE_HEAP  0x55550000a000ull
#define IMAGE_OTHER 0x7e0004000000ull
#define IMAGE_LARGE 0x7d0000000000ull
#define IMAGE_ARENA (IMAGE_DATA + 0xc60)

enum { PART_DATA, PART_HEAP, PART_OTHER, PART_LARGE, IMAGE_PARTS };

struct glibc_image {
	uint8_t bytes[IMAGE_PARTS][IMAGE_BYTES];
	uint64_t info_bytes; /* of the other arena's heap_info */
	uint64_t shorter;    /* what its arenas are shorter by than those with fastbins */
	uint64_t not_there;  /* a page that cannot be read; 0: all can */
	struct cprof_maps maps;
	struct cprof_modules modules;
	struct cprof_baseline_memory memory;
	struct cprof_baseline_target target;
};

static const uint64_t image_at[IMAGE_PARTS] = { IMAGE_DATA, IMAGE_HEAP, IMAGE_OTHER, IMAGE_LARGE };

static inline uint8_t *image_place(struct glibc_image *image, uint64_t addr)
{
	for (unsigned i = 0; i < IMAGE_PARTS; i++) {
		if (addr >= image_at[i] && addr - image_at[i] < IMAGE_BYTES)
			return image->bytes[i] + (addr - image_at[i]);
	}
	return NULL;
}

static inline bool image_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const uint64_t gone = ((struct glibc_image *)ctx)->not_there;
	const uint8_t *from = image_place(ctx, addr);
	if (gone && addr < gone + 0x1000 && n > gone - addr)
		return false;
	if (!from || n > IMAGE_BYTES || !image_place(ctx, addr + n - 1) ||
	    image_place(ctx, addr + n - 1) != from + n - 1)
		return false;
	memcpy(buf, from, n);
	return true;
}

static inline void image_put(struct glibc_image *image, uint64_t addr, uint64_t word)
{
	memcpy(image_place(image, addr), &word, sizeof(word));
}

/* A chunk: its size with flags; the next one's is put by whoever puts that. Returns where the next one is. */
static inline uint64_t image_chunk(struct glibc_image *image, uint64_t addr, uint64_t size,
				   unsigned flags)
{
	image_put(image, addr + 8, size | flags);
	return addr + size;
}

static inline void image_top(struct glibc_image *image, uint64_t arena, uint64_t addr, uint64_t end)
{
	image_put(image, addr + 8, (end - addr) | CPROF_GLIBC_PREV_IN_USE);
	image_put(image, arena + CPROF_GLIBC_ARENA_TOP - image->shorter, addr);
}

static inline void image_arena(struct glibc_image *image, uint64_t addr, uint64_t next)
{
	for (uint64_t i = 0; i < CPROF_GLIBC_N_BINS; i++) {
		const uint64_t at = addr + CPROF_GLIBC_ARENA_BINS - image->shorter + i * 16;
		image_put(image, at, at - CPROF_GLIBC_HEADER);
		image_put(image, at + 8, at - CPROF_GLIBC_HEADER);
	}
	image_put(image, addr + CPROF_GLIBC_ARENA_NEXT - image->shorter, next);
	image_put(image, addr + CPROF_GLIBC_ARENA_SYSTEM - image->shorter, IMAGE_BYTES);
	image_put(image, addr + CPROF_GLIBC_ARENA_SYSTEM_MOST - image->shorter, IMAGE_BYTES);
}

static inline uint64_t image_other_first(const struct glibc_image *image)
{
	return cprof_glibc_aligned(IMAGE_OTHER + image->info_bytes + CPROF_GLIBC_ARENA_BYTES -
				   image->shorter);
}

/* Two arenas that have nothing but a top. `info_bytes`: the size of heap_info, 32 or 48; `shorter`: as in the struct. */
static inline struct glibc_image *image_new_form(uint64_t info_bytes, uint64_t shorter)
{
	struct glibc_image *image = calloc(1, sizeof(*image));
	char text[512];
	if (!image)
		abort();
	image->info_bytes = info_bytes;
	image->shorter = shorter;
	const uint64_t other = IMAGE_OTHER + info_bytes;
	image_arena(image, IMAGE_ARENA, other);
	image_arena(image, other, IMAGE_ARENA);
	image_put(image, IMAGE_OTHER, other);
	image_put(image, IMAGE_OTHER + 16, IMAGE_BYTES);
	image_top(image, IMAGE_ARENA, IMAGE_HEAP, IMAGE_HEAP + IMAGE_BYTES);
	image_top(image, other, image_other_first(image), IMAGE_OTHER + IMAGE_BYTES);
	const int n =
		snprintf(text, sizeof(text),
			 "%llx-%llx rw-p 00000000 00:00 0 [heap]\n"
			 "%llx-%llx rw-p 00000000 00:00 0 \n"
			 "%llx-%llx rw-p 00000000 00:00 0 \n"
			 "%llx-%llx rw-p 001d0000 fe:00 77 /lib/libc.so.6\n",
			 IMAGE_HEAP, IMAGE_HEAP + 0x10000, IMAGE_LARGE, IMAGE_LARGE + 0x10000,
			 IMAGE_OTHER, IMAGE_OTHER + 0x10000, IMAGE_DATA, IMAGE_DATA + 0x10000);
	const struct cprof_memory view = { .read = image_read, .ctx = image };
	cprof_maps_init(&image->maps, 0, view);
	cprof_modules_init(&image->modules);
	if (cprof_maps_parse(&image->maps, text, (size_t)n) ||
	    !cprof_baseline_memory_init(&image->memory, 0, view))
		abort();
	image->target = (struct cprof_baseline_target){ .maps = &image->maps,
							.modules = &image->modules,
							.memory = &image->memory };
	return image;
}

static inline struct glibc_image *image_new(uint64_t info_bytes)
{
	return image_new_form(info_bytes, 0);
}

static inline void image_free(struct glibc_image *image)
{
	cprof_baseline_memory_deinit(&image->memory);
	cprof_modules_deinit(&image->modules);
	cprof_maps_deinit(&image->maps);
	free(image);
}

/* What is held in it; `account` is initialized here. False: no allocator was found. */
static inline bool image_account(struct glibc_image *image, struct cprof_baseline_account *before,
				 struct cprof_baseline_account *account)
{
	void *place = NULL;
	if (cprof_baseline_account_init(account, before) ||
	    cprof_baseline_glibc.find(&image->target, &place))
		abort();
	if (!place)
		return false;
	cprof_baseline_memory_forget(image->target.memory);
	if (cprof_baseline_glibc.read(&image->target, place, account))
		abort();
	cprof_baseline_glibc.free_place(place);
	return true;
}

#endif
