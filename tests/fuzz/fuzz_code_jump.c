/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary code, read for where its calls and jumps lead. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/names/code_jump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define START 0x1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_image *image;
	uint8_t *copy = malloc(size ? size : 1);
	if (!copy || !size) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	struct cprof_error *err = cprof_image_from_bytes(copy, size, &image);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	struct cprof_segment segment = { .file_addr = START, .file_size = size, .flags = PF_X };
	const struct cprof_module module = {
		.image = image, .arch = &cprof_arch_x86_64, .segments = &segment, .n_segments = 1
	};
	struct cprof_code_jump jumps[16];
	const size_t n = cprof_code_jump_out(&module, START, START + size, jumps, 16);
	for (size_t i = 0; i < n; i++) {
		if (jumps[i].addr < START || jumps[i].addr >= START + size ||
		    (jumps[i].kind == CPROF_JUMP_TO && jumps[i].to >= START &&
		     jumps[i].to < START + size))
			abort();
	}
	cprof_code_jump_out(&module, START, UINT64_MAX, jumps, 1);
	for (uint64_t at = START; at < START + 64; at++) {
		cprof_code_jump_call(&module, at, &jumps[0]);
		cprof_code_jump_entry(&module, at, &jumps[0]);
	}
	cprof_image_free(image);
	return 0;
}
