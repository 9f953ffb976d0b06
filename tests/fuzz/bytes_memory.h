/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/fuzz/bytes_memory.h - arbitrary bytes as a process's memory, at one address; nothing is there beside them.
 */
#ifndef CPROF_TESTS_FUZZ_BYTES_MEMORY_H
#define CPROF_TESTS_FUZZ_BYTES_MEMORY_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct bytes_memory {
	uint64_t addr;
	const uint8_t *data;
	size_t size;
};

/* As struct cprof_memory wants it; `ctx` is a struct bytes_memory. */
static inline bool bytes_memory_read(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct bytes_memory *bytes = ctx;
	if (addr < bytes->addr || addr - bytes->addr > bytes->size ||
	    n > bytes->size - (addr - bytes->addr))
		return false;
	memcpy(buf, bytes->data + (addr - bytes->addr), n);
	return true;
}

#endif
