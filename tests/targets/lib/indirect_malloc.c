/* SPDX-License-Identifier: Apache-2.0 */
/* An allocator whose functions are chosen when they are bound (IFUNC), as one for several processors would be. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static char *next, *end;

/* Blocks have their size before them and are never used again: that is enough for a test. */
static void *take(size_t n)
{
	n = (n + 31) & ~(size_t)15;
	if ((size_t)(end - next) < n) {
		size_t chunk = n > 1 << 20 ? n : 1 << 20;
		next = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		end = next + chunk;
	}
	char *block = next + 16;
	next += n;
	*(size_t *)(void *)(block - 16) = n - 16;
	return block;
}

__attribute__((noinline, used)) static void *plain_malloc(size_t n)
{
	return take(n);
}

__attribute__((noinline, used)) static void *other_malloc(size_t n)
{
	return take(n + 16);
}

__attribute__((noinline, used)) static void plain_free(void *block)
{
	if (block)
		((volatile char *)block)[0] = 0;
}

typedef void *malloc_fn(size_t);
typedef void free_fn(void *);

__attribute__((used)) static malloc_fn *choose_malloc(void)
{
	unsigned a, b, c = 0, d;
	__asm__("cpuid" : "=a"(a), "=b"(b), "+c"(c), "=d"(d) : "a"(0));
	return a ? plain_malloc : other_malloc;
}

__attribute__((used)) static free_fn *choose_free(void)
{
	return plain_free;
}

void *malloc(size_t n) __attribute__((ifunc("choose_malloc")));
void free(void *block) __attribute__((ifunc("choose_free")));

void *calloc(size_t n, size_t size)
{
	void *block = malloc(n * size);
	return block ? memset(block, 0, n * size) : NULL;
}

void *realloc(void *old, size_t n)
{
	void *block = malloc(n);
	if (old && block) {
		size_t had = *(size_t *)(void *)((char *)old - 16);
		memcpy(block, old, had < n ? had : n);
	}
	return block;
}

/* For -heap-hook: nobody ever calls it, so nothing has been chosen for it. */
void *unused_take(size_t n) __attribute__((ifunc("choose_malloc")));
