/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_blob.h"

#include <stdlib.h>
#include <string.h>

#define PAGE 4096u

/* shim_blob.S */
extern const uint8_t cprof_shim_blob[];
extern const uint8_t cprof_shim_blob_end[];

static size_t blob_bytes(void)
{
	/* Both are labels of one section. */
	/* cppcheck-suppress comparePointers */
	return (size_t)(cprof_shim_blob_end - cprof_shim_blob);
}

uint64_t cprof_heap_blob_image_bytes(void)
{
	return (blob_bytes() + PAGE - 1) / PAGE * PAGE;
}

struct cprof_shim_image *cprof_heap_blob_copy(void)
{
	struct cprof_shim_image *copy = calloc(1, cprof_heap_blob_image_bytes());
	if (copy)
		memcpy(copy, cprof_shim_blob, blob_bytes());
	return copy;
}

/* The last bytes say where the code of entry.S ends and all code, where the list of stubs is and how long. */
struct tail {
	uint32_t entry_end, code_end, stubs, n_stubs;
};

static struct tail tail(void)
{
	struct tail tail;
	memcpy(&tail, cprof_shim_blob + (blob_bytes() - sizeof(tail)), sizeof(tail));
	return tail;
}

const struct cprof_shim_stub *cprof_heap_blob_stubs(uint32_t *ret_n)
{
	*ret_n = tail().n_stubs;
	return (const struct cprof_shim_stub *)(const void *)(cprof_shim_blob + tail().stubs);
}

void cprof_heap_blob_sieve(struct cprof_shim_image *copy, uint32_t stub)
{
	uint32_t n;
	const struct cprof_shim_stub *stubs = cprof_heap_blob_stubs(&n);
	if (stub >= n || !stubs[stub].find)
		return; /* it frees */
	uint8_t *at = (uint8_t *)copy + stubs[stub].find;
	const uint32_t distance = stubs[stub].sieve - stubs[stub].find - CPROF_SHIM_SIEVE_JUMP;
	at[0] = 0xe9; /* jmp rel32 */
	memcpy(at + 1, &distance, sizeof(distance));
}

uint32_t cprof_heap_blob_entry_end(void)
{
	return tail().entry_end;
}

uint32_t cprof_heap_blob_code_end(void)
{
	return tail().code_end;
}
