/* A function of arbitrary bytes: its probe and its ways out lie in what was given, or it is refused. */
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
	for (int ways_out = 0; ways_out < 2; ways_out++) {
		struct cprof_heap_probe probe;
		struct cprof_error *err =
			cprof_heap_probe_plan(&memory, ADDR, ADDR + n, ways_out, &probe);
		if (err) {
			cprof_error_free(err);
			continue;
		}
		if (probe.addr < ADDR || probe.addr - ADDR >= (n ? n : 1))
			abort();
		if (probe.n_rets > CPROF_HEAP_PROBE_RETS || (ways_out && !probe.n_rets))
			abort();
		for (size_t i = 0; i < probe.n_rets; i++) {
			if (probe.rets[i] < ADDR || probe.rets[i] - ADDR >= n)
				abort();
		}
	}
	return 0;
}
