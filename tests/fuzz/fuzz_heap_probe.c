/* SPDX-License-Identifier: Apache-2.0 */
/* A function of arbitrary bytes: its probe lies in what was given, or it is refused. */
#include <stdlib.h>
#include <string.h>

#include "attach/heap/uprobe/heap_probe.h"

#define ADDR 0x7f0000001000ull

struct code {
	const uint8_t *bytes;
	size_t n;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static bool read_code(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct code *code = ctx;
	if (addr < ADDR || addr - ADDR > code->n || n > code->n - (addr - ADDR))
		return false;
	memcpy(buf, code->bytes + (addr - ADDR), n);
	return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct code code = { data, n };
	const struct cprof_memory memory = { read_code, &code };
	struct cprof_heap_probe probe;
	struct cprof_error *err = cprof_heap_probe_plan(&memory, ADDR, ADDR + n, &probe);
	if (!err && (probe.addr < ADDR || probe.addr - ADDR >= (n ? n : 1)))
		abort();
	cprof_error_free(err);
	return 0;
}
