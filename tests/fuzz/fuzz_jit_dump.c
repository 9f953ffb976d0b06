/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a jitdump: records in, then look-ups around every start. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/names/jit_dump.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_jit_dump dump;
	struct cprof_image *image;
	uint8_t *copy = malloc(size + 1);
	if (!copy)
		return 0;
	memcpy(copy, data, size);
	struct cprof_error *err = cprof_image_from_bytes(copy, size, &image);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	err = cprof_jit_dump_parse(&dump, image);
	for (size_t i = 0; !err && i < dump.intervals.n; i++) {
		const char *name = cprof_jit_dump_find(&dump, dump.intervals.pieces[i].start);
		fuzz_touched += name ? strlen(name) : 0;
		cprof_jit_dump_find(&dump, dump.intervals.pieces[i].start - 1);
	}
	cprof_error_free(err);
	cprof_jit_dump_deinit(&dump);
	cprof_image_free(image);
	return 0;
}
