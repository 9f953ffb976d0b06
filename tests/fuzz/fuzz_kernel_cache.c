/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the cache of the kernel's functions. The boot is the file's own, and the sums are made right, so that
 * what lies behind them is reached as well.
 */
#include <stdlib.h>
#include <string.h>

#include "cprof/hash.h"
#include "symbolize/names/kernel_cache.h"

#define HEADER 40 /* magic, boot, start, end, two counts */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

/* As they are: the sums of a file of pieces. */
static void pieces(const uint8_t *data, size_t size)
{
	struct cprof_buffer bytes = { 0 };
	cprof_buffer_append(&bytes, data, size);
	struct cprof_piece_file *file = cprof_piece_file_of(&bytes);
	for (size_t at = 0; file && at < cprof_piece_file_len(file); at++) {
		const uint8_t *byte = cprof_piece_file_at(file, at, 1);
		const char *text = cprof_piece_file_text(file, at);
		fuzz_touched += (byte ? *byte : 0) + (text ? strlen(text) : 0);
	}
	cprof_piece_file_free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_buffer bytes = { 0 };
	struct cprof_kernel kernel;
	uint64_t boot = 0;
	pieces(data, size);
	cprof_buffer_append(&bytes, data, size);
	if (size >= HEADER)
		memcpy(&boot, data + 8, 8);
	cprof_piece_file_seal(&bytes);
	if (cprof_kernel_cache_parse(&kernel, &bytes, boot)) {
		for (size_t i = 0; i < kernel.n; i++) {
			struct cprof_kernel_symbol found;
			if (cprof_kernel_find(&kernel, kernel.start + i * 16, &found))
				fuzz_touched += strlen(found.name);
		}
	}
	cprof_kernel_deinit(&kernel);
	return 0;
}
