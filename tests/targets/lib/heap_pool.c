/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator of its own, for heap_truth.c to load: blocks are cut from one array and never used again. */
#include <stddef.h>
#include <stdint.h>

static char arena[8 << 20];
static size_t used;

__attribute__((noinline)) void *malloc(size_t n)
{
	size_t at = __atomic_fetch_add(&used, (n + 31) & ~(size_t)15, __ATOMIC_RELAXED);
	return at + n + 16 > sizeof(arena) ? NULL : arena + ((at + 15) & ~(size_t)15);
}

__attribute__((noinline)) void free(void *block)
{
	if (block)
		*(volatile char *)block = 0;
}
