/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes that begin as xz, zstd or gzip: never more than was allowed, whatever they promise. */
#include <stdlib.h>

#include "symbolize/elf/unpack.h"

#define MOST  (1u << 20)
#define PIECE (1u << 16) /* what may be over when it is seen */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_buffer out = { 0 };
	cprof_unpack(data, size, MOST, NULL, &out);
	if (out.len > MOST + PIECE)
		abort();
	cprof_buffer_deinit(&out);
	return 0;
}
