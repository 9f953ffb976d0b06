/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a cache file. The fingerprint is the file's own, and the checksum is made right, so that what lies behind
 * them is reached as well.
 */
#include <stdlib.h>
#include <string.h>

#include "cprof/hash.h"
#include "symbolize/names/symbol_cache.h"

#define HEADER 40 /* magic, fingerprint, checksum, four counts */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

/* What is new goes between what was there. */
static void compose(const struct cprof_symbol_cache *cache)
{
	struct cprof_buffer bytes = { 0 };
	cprof_error_free(cprof_symbol_cache_compose(cache, 1, &bytes));
	fuzz_touched += bytes.len;
	cprof_buffer_deinit(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_symbol_cache cache;
	uint64_t fingerprint = 0;
	uint8_t *copy = malloc(size + 1);
	if (!copy || cprof_symbol_cache_init(&cache)) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	if (size >= HEADER) {
		uint64_t sum = cprof_hash_long(copy + HEADER, size - HEADER);
		memcpy(&fingerprint, copy + 8, 8);
		memcpy(copy + 16, &sum, 8);
	}
	struct cprof_dwarf_frame frames[4];
	if (cprof_symbol_cache_parse(&cache, copy, size, fingerprint)) {
		for (size_t i = 0; i < cache.kept.n_answers; i++) {
			uint64_t addr = cache.kept.answers[i].addr;
			size_t n = cprof_symbol_cache_get(&cache, addr, frames, 4);
			for (size_t j = 0; j < n; j++)
				fuzz_touched += strlen(frames[j].name) + strlen(frames[j].file);
			const struct cprof_dwarf_frame more = { "more", "", "f", 1, 2, 3 };
			cprof_error_free(cprof_symbol_cache_put(&cache, addr + 1, &more, 1));
		}
		compose(&cache);
	}
	cprof_symbol_cache_deinit(&cache);
	free(copy);
	return 0;
}
