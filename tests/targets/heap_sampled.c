/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/targets/heap_sampled.c - holds blocks that three functions have allocated, for an allocator that samples them itself.
 *
 * Says "truth FUNCTION BLOCKS BYTES" for each (bytes that may be used), then "ready". Commands on standard input, each answered by
 * the truth and "done": "free" every other block, "again" (as many new ones, by another function, at places that were freed), "quit".
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST 100000u

static unsigned char *kept[3][MOST], *later[MOST];

__attribute__((noinline)) static void *filled(void *block, size_t bytes)
{
	return block ? memset(block, 1, bytes) : (abort(), NULL);
}

/* Each leaves a number of its own behind, or a compiler would make one function of them. */
static volatile int last;

__attribute__((noinline)) static void *keep_small(size_t bytes)
{
	last = 1;
	return filled(malloc(bytes), bytes);
}

__attribute__((noinline)) static void *keep_middle(size_t bytes)
{
	last = 2;
	return filled(calloc(1, bytes), bytes);
}

__attribute__((noinline)) static void *keep_large(size_t bytes)
{
	last = 3;
	return filled(malloc(bytes), bytes);
}

__attribute__((noinline)) static void *keep_later(size_t bytes)
{
	last = 4;
	return filled(malloc(bytes), bytes);
}

static const struct {
	const char *name;
	void *(*keep)(size_t bytes);
	size_t bytes;
	unsigned n;
} kinds[3] = {
	{ "keep_small", keep_small, 100, MOST },
	{ "keep_middle", keep_middle, 5000, 4000 },
	{ "keep_large", keep_large, 300000, 100 },
};

static void tell_of(const char *name, unsigned char **blocks, unsigned n)
{
	unsigned long objects = 0, bytes = 0;
	for (unsigned i = 0; i < n; i++) {
		objects += blocks[i] != NULL;
		bytes += malloc_usable_size(blocks[i]);
	}
	printf("truth %s %lu %lu\n", name, objects, bytes);
}

static void tell(void)
{
	for (unsigned k = 0; k < 3; k++)
		tell_of(kinds[k].name, kept[k], kinds[k].n);
	tell_of("keep_later", later, MOST);
}

static void free_half(void)
{
	for (unsigned k = 0; k < 3; k++) {
		for (unsigned i = 0; i < kinds[k].n; i += 2) {
			free(kept[k][i]);
			kept[k][i] = NULL;
		}
	}
}

/* An allocator may begin to sample only when some megabytes have gone by. */
static void warm_up(void)
{
	for (unsigned i = 0; i < 8000; i++)
		free(filled(malloc(8000), 8000));
}

int main(void)
{
	char line[64];
	warm_up();
	for (unsigned k = 0; k < 3; k++) {
		for (unsigned i = 0; i < kinds[k].n; i++)
			kept[k][i] = kinds[k].keep(kinds[k].bytes);
	}
	tell();
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) && strcmp(line, "quit\n") != 0) {
		if (strcmp(line, "free\n") == 0)
			free_half();
		for (unsigned i = 0; i < MOST / 2 && strcmp(line, "again\n") == 0; i++)
			later[i] = keep_later(100);
		tell();
		printf("done\n");
		fflush(stdout);
	}
	for (unsigned k = 0; k < 3; k++) {
		for (unsigned i = 0; i < kinds[k].n; i++) {
			if (kept[k][i] && kept[k][i][kinds[k].bytes - 1] != 1)
				abort();
		}
	}
	return 0;
}
