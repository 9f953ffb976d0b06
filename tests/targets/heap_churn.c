/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_churn - a busy allocator: threads that allocate and free blocks of 16 to 4096 bytes, all checked.
 *
 * Usage: heap_churn [THREADS [SECONDS|orphan]]. Each block is filled with a pattern and compared before it is freed, so an
 * allocator gone wrong shows up as "bad block" and exit status 1. Prints "rounds N bad 0" at its end. With "orphan" SIGALRM
 * ends its first thread only.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SLOTS 256

static atomic_bool stop;
static _Atomic uint64_t rounds, bad;

struct block {
	uint32_t *words;
	size_t n;
	uint32_t seed;
};

static uint32_t next(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

static __attribute__((noinline)) void drop(struct block *block)
{
	if (block->words &&
	    (block->words[0] != block->seed || block->words[block->n - 1] != block->seed))
		bad++;
	free(block->words);
	block->words = NULL;
}

static __attribute__((noinline)) void take(struct block *block, uint32_t random)
{
	size_t bytes = 16 + random % 4081;
	block->n = bytes / 4;
	block->seed = random;
	switch (random >> 28) {
	case 0:
		block->words = calloc(1, bytes);
		break;
	case 1:
		block->words = realloc(NULL, bytes);
		break;
	case 2:
		block->words = realloc(malloc(bytes / 2 + 1), bytes);
		break;
	case 3:
		if (posix_memalign((void **)&block->words, 64, bytes))
			block->words = NULL;
		break;
	case 4:
		block->words = aligned_alloc(128, (bytes + 127) & ~(size_t)127);
		break;
	default:
		block->words = malloc(bytes);
	}
	block->words[0] = block->words[block->n - 1] = random;
}

static void *churn(void *arg)
{
	struct block slots[SLOTS] = { 0 };
	uint32_t state = (uint32_t)(uintptr_t)arg * 2654435761u + 1;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		for (int i = 0; i < 1000; i++) {
			uint32_t random = next(&state);
			struct block *block = &slots[random % SLOTS];
			drop(block);
			take(block, next(&state));
		}
		rounds += 1000;
	}
	for (int i = 0; i < SLOTS; i++)
		drop(&slots[i]);
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 2;
	pthread_t threads[64];
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGALRM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (n < 1 || n > 64)
		return 2;
	for (int i = 0; i < n; i++)
		pthread_create(&threads[i], NULL, churn, (void *)(uintptr_t)(i + 1));
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	const int orphan = argc > 2 && strcmp(argv[2], "orphan") == 0;
	if (argc > 2 && !orphan)
		alarm((unsigned)atoi(argv[2]));
	int signal_no;
	sigwait(&ends, &signal_no);
	if (orphan && signal_no == SIGALRM)
		pthread_exit(NULL); /* the others go on, and do not end */
	stop = 1;
	for (int i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	printf("rounds %llu bad %llu\n", (unsigned long long)rounds, (unsigned long long)bad);
	return bad != 0;
}
