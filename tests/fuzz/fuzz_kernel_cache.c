/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the cache of the kernel's functions. The boot is the file's own, and the checksum is made right, so that
 * what lies behind them is reached as well.
 */
#include <stdlib.h>
#include <string.h>

#include "cprof/hash.h"
#include "symbolize/names/kernel_cache.h"

#define HEADER  48 /* magic, boot, checksum, start, end, two counts */
#define CHECKED 24 /* what the checksum covers begins here */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_buffer bytes = { 0 };
	struct cprof_kernel kernel;
	uint64_t boot = 0;
	cprof_buffer_append(&bytes, data, size);
	if (size >= HEADER) {
		uint64_t sum = cprof_hash_long(bytes.data + CHECKED, size - CHECKED);
		memcpy(&boot, data + 8, 8);
		memcpy(bytes.data + 16, &sum, 8);
	}
	if (cprof_kernel_cache_parse(&kernel, &bytes, boot)) {
		for (size_t i = 0; i < kernel.n; i++) {
			struct cprof_kernel_symbol found;
			if (cprof_kernel_find(&kernel, kernel.start + kernel.packed[i].offset,
					      &found))
				fuzz_touched += strlen(found.name);
		}
	}
	cprof_kernel_deinit(&kernel);
	return 0;
}
