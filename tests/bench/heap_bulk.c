/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/bench/heap_bulk.c - a large heap of one kind, for heap_walk.py, which measures what reading it costs.
 *
 *     heap_bulk KIND MIB      of blocks, then "ready"; ends with its standard input
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 8
#define WORDS       8

/* What g++ would name the virtual tables of these classes; an object's first word points behind the first two words. */
extern const void *const _ZTV5Order[WORDS], *const _ZTV4Item[WORDS], *const _ZTV7Session[WORDS];
const void *const _ZTV5Order[WORDS] = { 0 };
const void *const _ZTV4Item[WORDS] = { 0 };
const void *const _ZTV7Session[WORDS] = { 0 };

static const struct kind {
	const char *name;
	size_t least, most; /* bytes of a block */
	unsigned threads;
	unsigned of_each_kept; /* one in so many: the others are freed again, in no order */
	int objects;           /* first words are those of C++ objects */
} kinds[] = {
	{ "small", 64, 100, 1, 1, 0 },        { "objects", 64, 100, 1, 1, 1 },
	{ "arenas", 64, 100, 8, 1, 0 },       { "fragmented", 64, 100, 1, 2, 0 },
	{ "middle", 1000, 8000, 1, 1, 0 },    { "large", 30000, 100000, 1, 1, 0 },
	{ "huge", 500000, 4000000, 1, 1, 0 },
};
static const struct kind *kind;
static uint64_t each_bytes;
static pthread_barrier_t made, over;

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static void *make_one(uint64_t *seed, size_t bytes)
{
	static const void *const *const tables[] = { _ZTV5Order, _ZTV4Item, _ZTV7Session };
	void *block = malloc(bytes);
	if (!block)
		abort();
	memset(block, 'x', bytes);
	if (kind->objects) {
		const void *const *word = tables[next(seed) % 3] + 2;
		memcpy(block, &word, sizeof(word));
	}
	return block;
}

static void make(uint64_t seed)
{
	const size_t n = each_bytes / kind->least + 1;
	void **blocks = malloc(n * sizeof(*blocks));
	size_t k = 0;
	for (uint64_t bytes = 0; bytes < each_bytes && k < n; k++) {
		const size_t size = kind->least + next(&seed) % (kind->most - kind->least + 1);
		blocks[k] = make_one(&seed, size);
		bytes += size;
	}
	for (size_t i = 0; kind->of_each_kept > 1 && i < k; i++) {
		const size_t at = next(&seed) % k;
		free(blocks[at]);
		blocks[at] = NULL;
	}
	free(blocks);
}

static void *thread(void *seed)
{
	make((uint64_t)(uintptr_t)seed);
	pthread_barrier_wait(&made);
	pthread_barrier_wait(&over);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t id;
	char byte;
	for (size_t i = 0; argc == 3 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(argv[1], kinds[i].name) == 0)
			kind = &kinds[i];
	}
	if (!kind || !atoi(argv[2]))
		return 2;
	each_bytes = ((uint64_t)atoi(argv[2]) << 20) / kind->threads;
	pthread_barrier_init(&made, NULL, kind->threads);
	pthread_barrier_init(&over, NULL, kind->threads);
	for (unsigned i = 1; i < kind->threads; i++)
		pthread_create(&id, NULL, thread, (void *)(uintptr_t)(i + 1));
	make(1);
	pthread_barrier_wait(&made);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	return 0;
}
