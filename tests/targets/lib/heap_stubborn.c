/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An allocator whose functions cannot be patched: malloc is two bytes with another function right behind, calloc
 * begins with a call, and memalign is one with malloc for small alignments, by a jump. free and realloc are like other
 * people's.
 *
 * Blocks are powers of two, kept in a list for each; the 16 bytes before a block say what it is.
 */
#include <errno.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define CHUNK ((size_t)8 << 20)

struct head {
	struct head *next;
	uint32_t log2, shift; /* of the block's start behind its place */
};

static struct head *lists[48];
static char *at, *end;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void *malloc(size_t n);
void *calloc(size_t count, size_t n);
void *memalign(size_t alignment, size_t n);
void *stubborn_malloc(size_t n);
void *stubborn_calloc(size_t count, size_t n);
void *stubborn_memalign(size_t alignment, size_t n);

/* clang-format off */
__asm__(".text\n"
	".p2align 4\n"
	".globl malloc\n .type malloc, @function\n"
	"malloc: jmp stubborn_hop\n"
	".size malloc, .-malloc\n"
	".globl stubborn_nothing\n .type stubborn_nothing, @function\n"
	"stubborn_nothing: ret\n"
	".size stubborn_nothing, .-stubborn_nothing\n"
	".type stubborn_hop, @function\n"
	"stubborn_hop: jmp stubborn_malloc\n"
	".size stubborn_hop, .-stubborn_hop\n"
	".p2align 4\n"
	".globl calloc\n .type calloc, @function\n"
	"calloc: call stubborn_nothing\n"
	"jmp stubborn_calloc\n"
	".size calloc, .-calloc\n"
	".p2align 4\n"
	".globl memalign\n .type memalign, @function\n"
	"memalign: cmp $16, %rdi\n"
	"ja stubborn_memalign\n"
	"mov %rsi, %rdi\n"
	"jmp malloc\n"
	".size memalign, .-memalign\n");
/* clang-format on */

static unsigned log2_of(size_t n)
{
	unsigned log2 = 5;
	while (((size_t)1 << log2) < n)
		log2++;
	return log2;
}

void *stubborn_malloc(size_t n)
{
	if (n > (size_t)1 << 40)
		return NULL;
	unsigned log2 = log2_of(n + sizeof(struct head));
	pthread_mutex_lock(&mutex);
	struct head *head = lists[log2];
	if (head) {
		lists[log2] = head->next;
	} else {
		size_t bytes = (size_t)1 << log2;
		if (bytes > (size_t)(end - at)) {
			size_t chunk = bytes > CHUNK ? bytes : CHUNK;
			at = mmap(NULL, chunk, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				  -1, 0);
			end = at + chunk;
		}
		head = (struct head *)at;
		at += bytes;
	}
	pthread_mutex_unlock(&mutex);
	head->log2 = log2;
	head->shift = 0;
	return head + 1;
}

void free(void *block)
{
	if (!block)
		return;
	struct head *head = (struct head *)block - 1;
	struct head *place = (struct head *)((char *)head - head->shift);
	unsigned log2 = head->log2;
	pthread_mutex_lock(&mutex);
	place->next = lists[log2];
	lists[log2] = place;
	pthread_mutex_unlock(&mutex);
}

void *stubborn_calloc(size_t count, size_t n)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, n, &bytes))
		return NULL;
	void *block = malloc(bytes);
	return block ? memset(block, 0, bytes) : NULL;
}

void *realloc(void *old, size_t n)
{
	if (!old)
		return malloc(n);
	struct head *head = (struct head *)old - 1;
	size_t room = ((size_t)1 << head->log2) - head->shift - sizeof(*head);
	void *block = malloc(n);
	if (!block)
		return NULL;
	memcpy(block, old, n < room ? n : room);
	free(old);
	return block;
}

void *stubborn_memalign(size_t alignment, size_t n)
{
	char *block = malloc(n + alignment);
	if (!block)
		return NULL;
	uintptr_t shift = -(uintptr_t)block & (alignment - 1);
	struct head head = *((struct head *)block - 1);
	head.shift = (uint32_t)shift;
	*((struct head *)(block + shift) - 1) = head;
	return block + shift;
}

void *aligned_alloc(size_t alignment, size_t n)
{
	return memalign(alignment, n);
}

int posix_memalign(void **out, size_t alignment, size_t n)
{
	*out = memalign(alignment, n);
	return *out ? 0 : ENOMEM;
}

void *valloc(size_t n)
{
	return memalign(4096, n);
}
