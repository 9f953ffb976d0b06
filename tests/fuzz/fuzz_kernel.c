/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as /proc/kallsyms. */
#include <string.h>

#include "symbolize/names/kernel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern size_t fuzz_touched;
size_t fuzz_touched; /* so that no look at a string is optimized away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cprof_kernel kernel = { 0 };
	struct cprof_buffer text = { 0 };
	cprof_buffer_append(&text, data, size);
	struct cprof_error *err = cprof_kernel_parse(&kernel, &text);
	for (size_t i = 0; !err && i < kernel.n; i++) {
		struct cprof_kernel_symbol found;
		if (cprof_kernel_find(&kernel, kernel.all[i].addr + 1, &found))
			fuzz_touched += strlen(found.name) + strlen(found.module);
	}
	cprof_error_free(err);
	cprof_kernel_deinit(&kernel);
	return 0;
}
