/* SPDX-License-Identifier: Apache-2.0 */
/* Arbitrary code, read for what it does to the stack. */
#include <stdlib.h>
#include <string.h>

#include "symbolize/unwind/unwind_code.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct code {
	const uint8_t *data;
	size_t size;
};

static bool read_code(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct code *code = ctx;
	if (addr < 0x1000 || addr - 0x1000 > code->size || n > code->size - (addr - 0x1000))
		return false;
	memcpy(buf, code->data + (addr - 0x1000), n);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct code code = { data, size };
	const struct cprof_memory reader = { read_code, &code };
	struct cprof_unwind_rule rule;
	for (size_t at = 0; at < size && at < 32; at++) {
		if (cprof_unwind_code_rule(&cprof_arch_x86_64, &reader, 0x1000 + at, at & 1,
					   &rule) &&
		    (!rule.guessed || rule.n_places > 16))
			abort();
		cprof_unwind_code_sigreturn(&cprof_arch_x86_64, &reader, 0x1000 + at, &rule);
		cprof_unwind_code_sigreturn(&cprof_arch_aarch64, &reader, 0x1000 + at, &rule);
	}
	return 0;
}
