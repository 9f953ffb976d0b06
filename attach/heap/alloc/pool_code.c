/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/alloc/pool_code.h"

#include <string.h>

enum { RAX = 0, R10 = 10, R11 = 11 };

/* The registers of the first six arguments, as instructions number them. */
static const uint8_t registers[CPROF_SHIM_ARGS] = { 7, 6, 2, 1, 8, 9 };

/* mov %from, %to, whole or the lower half, which clears the upper one: three bytes. */
static uint8_t *move(uint8_t *out, struct cprof_shim_operand from, unsigned to)
{
	unsigned reg = registers[from.arg % CPROF_SHIM_ARGS];
	*out++ = (uint8_t)(0x40 | (from.low ? 0 : 8) | (reg >= 8 ? 4 : 0) | (to >= 8 ? 1 : 0));
	*out++ = 0x89;
	*out++ = (uint8_t)(0xc0 | (reg & 7) << 3 | (to & 7));
	return out;
}

static uint8_t *put(uint8_t *out, const char *bytes, size_t n)
{
	memcpy(out, bytes, n);
	return out + n;
}

static uint8_t *put_bytes(uint8_t *out, uint32_t value)
{
	memcpy(out, &value, sizeof(value));
	return out + sizeof(value);
}

/* test %r10, %r10: no overflow. */
static uint8_t *settle(uint8_t *out)
{
	return put(out, "\x4d\x85\xd2", 3);
}

static uint8_t *size(const struct cprof_shim_pool *pool, uint8_t *out)
{
	if (pool->size.arg == CPROF_SHIM_NO_ARG) {
		out = put(out, "\x49\xc7\xc2", 3); /* mov $bytes, %r10 */
		return settle(put_bytes(out, pool->bytes));
	}
	out = move(out, pool->size, R10);
	if (pool->times.arg != CPROF_SHIM_NO_ARG) {
		out = move(out, pool->times, R11);
		return put(out, "\x4d\x0f\xaf\xd3", 4); /* imul %r11, %r10 */
	}
	if (pool->bytes) {
		out = put(out, "\x4d\x69\xd2", 3); /* imul $bytes, %r10, %r10 */
		return put_bytes(out, pool->bytes);
	}
	return settle(out);
}

void cprof_pool_code_make(const struct cprof_shim_pool *pool, uint8_t code[CPROF_POOL_CODE_BYTES])
{
	memset(code, 0x90, CPROF_POOL_CODE_BYTES);
	if (pool->old.arg != CPROF_SHIM_NO_ARG)
		move(code, pool->old, RAX);
	size(pool, code + CPROF_SHIM_POOL_OLD_BYTES);
}
