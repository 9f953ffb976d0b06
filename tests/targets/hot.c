/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hot - the demo target: two threads with known hot spots, named functions and an inlined one.
 *
 * Usage: hot [SECONDS]; without SECONDS it runs until SIGTERM. Prints its pid, the truth, and "ready".
 * The worker "crunch" spends about 3/4 of its time in mix_hash() below hash_blocks(), the worker
 * "sorter" all of its time below sort_round().
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_bool stop;
static volatile uint64_t sink;

/* Inlined into hash_blocks: shows up as its inline frame. */
static inline __attribute__((always_inline)) uint64_t mix_hash(uint64_t h, uint64_t x)
{
	h ^= x;
	h *= 0x9fb21c651e98df25ull;
	h ^= h >> 29;
	return h;
}

static __attribute__((noinline)) uint64_t hash_blocks(const uint64_t *words, size_t n)
{
	uint64_t h = n;
	for (size_t round = 0; round < 24; round++) {
		for (size_t i = 0; i < n; i++)
			h = mix_hash(h, words[i] + round);
	}
	return h;
}

static __attribute__((noinline)) void fill_blocks(uint64_t *words, size_t n, uint64_t seed)
{
	for (size_t round = 0; round < 8; round++) {
		for (size_t i = 0; i < n; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			words[i] = seed;
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

static __attribute__((noinline)) void sort_round(uint64_t *words, size_t n, uint64_t seed)
{
	fill_blocks(words, n, seed);
	qsort(words, n, sizeof(*words), compare);
	sink += words[0];
}

static void *crunch(void *arg)
{
	static uint64_t words[4096];
	(void)arg;
	pthread_setname_np(pthread_self(), "crunch");
	for (uint64_t seed = 1; !atomic_load(&stop); seed += 2) {
		fill_blocks(words, 4096, seed);
		sink += hash_blocks(words, 4096);
	}
	return NULL;
}

static void *sorter(void *arg)
{
	static uint64_t words[2048];
	(void)arg;
	pthread_setname_np(pthread_self(), "sorter");
	for (uint64_t seed = 1; !atomic_load(&stop); seed += 2)
		sort_round(words, 2048, seed);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);

	pthread_create(&threads[0], NULL, crunch, NULL);
	pthread_create(&threads[1], NULL, sorter, NULL);
	printf("pid %d\nexpect main idle; crunch in hash_blocks; sorter in sort_round\nready\n",
	       (int)getpid());
	fflush(stdout);
	if (argc > 1)
		alarm((unsigned)atoi(argv[1]));

	int signal_no;
	sigwait(&ends, &signal_no);
	atomic_store(&stop, 1);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	return 0;
}
