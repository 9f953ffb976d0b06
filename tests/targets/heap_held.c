/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/targets/heap_held.c - holds blocks that it has allocated long ago: for who wants to tell them from outside.
 *
 *     heap_held THREADS BLOCKS
 *
 * Each thread, and the first one, allocates BLOCKS blocks of 1 byte to 100 KB, most of them small, and a few of megabytes; frees
 * the half of them in no order, some of another thread's, and waits. Says how many blocks are held by now, and how many
 * bytes of them the program may use. Told "more" on standard input the
 * first thread allocates and frees for a while; "quit" has all blocks checked.
 */
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 64

static struct owner {
	unsigned char **blocks;
	size_t n;
	uint64_t seed;
} owners[THREADS_MAX];
static size_t n_blocks;
static unsigned n_threads;
static pthread_barrier_t made, freed, over;

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static size_t a_size(uint64_t *seed)
{
	const uint64_t kind = next(seed) % 1000;
	if (kind < 900)
		return 1 + next(seed) % 512;
	if (kind < 990)
		return 1 + next(seed) % 8192;
	if (kind < 999)
		return 1 + next(seed) % 100000;
	return 200000 + next(seed) % 3000000;
}

static void make(struct owner *owner)
{
	owner->blocks = calloc(n_blocks, sizeof(*owner->blocks));
	for (size_t i = 0; i < n_blocks; i++) {
		const size_t size = a_size(&owner->seed);
		unsigned char *block = malloc(size);
		if (!block)
			abort();
		block[0] = (unsigned char)i;
		owner->blocks[i] = block;
	}
	owner->n = n_blocks;
}

/* Every other one of its own, in steps through all of them; a tenth of those of the next thread instead. */
static void give_back(unsigned number)
{
	struct owner *mine = &owners[number], *other = &owners[(number + 1) % n_threads];
	for (size_t i = 0; i < n_blocks / 2; i++) {
		const size_t at = i * 7919 % (n_blocks / 2) * 2;
		struct owner *from = i % 10 ? mine : other;
		const size_t k = i % 10 ? at : at + 1;
		free(__atomic_exchange_n(&from->blocks[k], NULL, __ATOMIC_RELAXED));
	}
}

static void *thread(void *number)
{
	struct owner *owner = number;
	make(owner);
	pthread_barrier_wait(&made);
	give_back((unsigned)(owner - owners));
	pthread_barrier_wait(&freed);
	pthread_barrier_wait(&over);
	return NULL;
}

static void tell(void)
{
	uint64_t objects = 0, bytes = 0;
	for (unsigned t = 0; t < n_threads; t++) {
		objects++;
		bytes += malloc_usable_size(owners[t].blocks);
		for (size_t i = 0; i < n_blocks; i++) {
			if (!owners[t].blocks[i])
				continue;
			objects++;
			bytes += malloc_usable_size(owners[t].blocks[i]);
		}
	}
	printf("held %lu %lu\n", (unsigned long)objects, (unsigned long)bytes);
}

static void check(void)
{
	for (unsigned t = 0; t < n_threads; t++) {
		for (size_t i = 0; i < n_blocks; i++) {
			if (owners[t].blocks[i] && owners[t].blocks[i][0] != (unsigned char)i)
				abort();
		}
	}
}

static void churn(void)
{
	uint64_t seed = 99;
	for (unsigned i = 0; i < 100000; i++) {
		char *volatile block = malloc(a_size(&seed));
		block[0] = 1;
		free(block);
	}
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS_MAX];
	char line[64];
	n_threads = argc > 1 ? (unsigned)atoi(argv[1]) : 1;
	n_blocks = argc > 2 ? (size_t)atol(argv[2]) & ~(size_t)1 : 10000;
	if (!n_threads || n_threads > THREADS_MAX || !n_blocks)
		return 2;
	pthread_barrier_init(&made, NULL, n_threads);
	pthread_barrier_init(&freed, NULL, n_threads);
	pthread_barrier_init(&over, NULL, n_threads);
	for (unsigned t = 0; t < n_threads; t++)
		owners[t].seed = t + 1;
	for (unsigned t = 1; t < n_threads; t++)
		pthread_create(&threads[t], NULL, thread, &owners[t]);
	make(&owners[0]);
	pthread_barrier_wait(&made);
	give_back(0);
	pthread_barrier_wait(&freed);
	tell();
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (strcmp(line, "quit\n") == 0)
			break;
		if (strcmp(line, "more\n") == 0)
			churn();
		printf("done\n");
		fflush(stdout);
	}
	check();
	pthread_barrier_wait(&over);
	for (unsigned t = 1; t < n_threads; t++)
		pthread_join(threads[t], NULL);
	return 0;
}
