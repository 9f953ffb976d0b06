/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A process's memory with arenas of glibc's malloc, written over: the input is words and where they go, 10 bytes each, or
 * (first byte odd) bytes of the heap as they are. The walk ends, and each byte of its ranges is one thing.
 */
#include "tests/unit/glibc_image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A heap with blocks of many sizes, a thread's cache and a fastbin, to be written over. */
static void furnish(struct glibc_image *image)
{
	uint64_t at = image_chunk(image, IMAGE_HEAP, 0x290, CPROF_GLIBC_PREV_IN_USE);
	uint64_t other = image_other_first(image);
	for (unsigned i = 0; i < 100; i++)
		at = image_chunk(image, at, 32 + i % 7 * 16, CPROF_GLIBC_PREV_IN_USE);
	image_top(image, IMAGE_ARENA, at, IMAGE_HEAP + IMAGE_BYTES);
	for (unsigned i = 0; i < 100; i++)
		other = image_chunk(image, other, 48,
				    CPROF_GLIBC_PREV_IN_USE | CPROF_GLIBC_OTHER_ARENA);
	image_top(image, IMAGE_OTHER + image->info_bytes, other, IMAGE_OTHER + IMAGE_BYTES);
	image_put(image, IMAGE_HEAP + 16 + 128, IMAGE_HEAP + 0x290 + 16);
	image_put(image, IMAGE_ARENA + CPROF_GLIBC_ARENA_FASTBINS, IMAGE_HEAP + 0x290);
	image_chunk(image, IMAGE_LARGE + 0x1000, 0x3000, CPROF_GLIBC_MAPPED);
}

static void check(const struct cprof_baseline_account *account)
{
	uint64_t parts = 0, ranges = 0, rows = 0;
	const struct cprof_baseline_totals *totals = &account->allocators[0].totals;
	for (unsigned i = 0; i < CPROF_BASELINE_N_PARTS; i++)
		parts += totals->parts[i].bytes;
	for (uint32_t i = 0; i < account->n_ranges; i++)
		ranges += account->ranges[i].end - account->ranges[i].start;
	for (uint32_t i = 0; i < account->n_rows; i++)
		rows += account->rows[i].bytes;
	if (parts != ranges || rows > ranges)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_baseline_account account;
	if (!size)
		return 0;
	struct glibc_image *image =
		image_new_form(*data & 2 ? 32 : 48, *data & 64 ? CPROF_GLIBC_ARENA_SHORTER : 0);
	furnish(image);
	if (*data & 1)
		memcpy(image->bytes[*data >> 2 & 3], data + 1,
		       size - 1 < IMAGE_BYTES ? size - 1 : IMAGE_BYTES);
	for (size_t at = 1; !(*data & 1) && at + 11 <= size; at += 11) {
		uint64_t word;
		const uint64_t place = (uint64_t)data[at + 1] << 8 | data[at + 2];
		memcpy(&word, data + at + 3, sizeof(word));
		if (place <= IMAGE_BYTES - sizeof(word))
			image_put(image, image_at[data[at] & 3] + place, word);
	}
	if (image_account(image, NULL, &account))
		check(&account);
	cprof_baseline_account_deinit(&account);
	image_free(image);
	return 0;
}
