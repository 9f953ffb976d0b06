/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/fuzz_process_context.c - an OpenTelemetry process context as a program has it in its memory: the header, and the payload behind.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/process_context.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

struct bytes {
	const unsigned char *data;
	size_t n;
};

static bool read_bytes(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct bytes *bytes = ctx;
	if (addr > bytes->n || n > bytes->n - addr)
		return false;
	memcpy(buf, bytes->data + addr, n);
	return true;
}

static void check(const struct cprof_process_context *context)
{
	for (const char *at = context->service; *at; at++) {
		if ((unsigned char)*at < ' ')
			abort();
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct bytes bytes = { data, size };
	const struct cprof_memory memory = { .read = read_bytes, .ctx = &bytes };
	struct cprof_process_context context;
	cprof_process_context_decode(data, size, &context);
	check(&context);
	cprof_process_context_read(&memory, 0, &context);
	check(&context);
	return 0;
}
