/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A slow leak among things that look like one for a while: heap_growth LEAK CHURN, both in bytes a second.
 *
 *   leak_slowly   blocks of 512 bytes that are never freed
 *   churn_0 .. 3  CHURN in all, blocks of 8 to 64 KB that live for a moment, each in one of 64 places
 *   cache         a block of 4 KB each millisecond, which lives for 2 s
 *   swing         a block of 4 KB each millisecond; every 3 s all of them are freed
 *   fill_once     16 MB in the first 2 s, kept
 *
 * It begins with the first line of its standard input, ends with the next one or its end, and says "expect leaked=BYTES" then.
 */
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PLACES     64
#define CACHE      2000
#define SWING      3000
#define FILL_EACH  8192
#define FILL_MS    2000
#define LEAK_BLOCK 512

#define WAY __attribute__((noinline, noipa))

struct chunk {
	struct chunk *next;
};

static void *places[4][PLACES];
static void *cached[CACHE], *swinging[SWING];
static struct chunk *leaked, *filled;
static unsigned random_state = 1;

static unsigned some(unsigned below)
{
	random_state = random_state * 1664525 + 1013904223;
	return (random_state >> 8) % below;
}

#define CHURN(n)                                                                                   \
	static WAY size_t churn_##n(void)                                                          \
	{                                                                                          \
		const size_t size = 8192 + some(7 * 8192);                                         \
		void **place = &places[n][some(PLACES)];                                           \
		free(*place);                                                                      \
		*place = malloc(size);                                                             \
		*(volatile char *)*place = 1;                                                      \
		return size;                                                                       \
	}
CHURN(0)
CHURN(1)
CHURN(2)
CHURN(3)

static WAY void leak_slowly(void)
{
	struct chunk *chunk = malloc(LEAK_BLOCK);
	chunk->next = leaked;
	leaked = chunk;
}

static WAY void fill_once(void)
{
	struct chunk *chunk = malloc(FILL_EACH);
	chunk->next = filled;
	filled = chunk;
}

static WAY void cache(unsigned ms)
{
	free(cached[ms % CACHE]);
	cached[ms % CACHE] = malloc(4096);
}

static WAY void swing(unsigned ms)
{
	if (ms % SWING == 0) {
		for (unsigned i = 0; i < SWING; i++) {
			free(swinging[i]);
			swinging[i] = NULL;
		}
	}
	swinging[ms % SWING] = malloc(4096);
}

static double now_s(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	static size_t (*const churn[])(void) = { churn_0, churn_1, churn_2, churn_3 };
	const double leak_rate = argc > 1 ? atof(argv[1]) : 17476;
	const double churn_rate = argc > 2 ? atof(argv[2]) : 1e9;
	double leak_done = 0, churn_done = 0;
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	setvbuf(stdin, NULL, _IONBF, 0); /* what is behind the first line is for poll() */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	char line[64];
	if (!fgets(line, sizeof(line), stdin))
		return 0;
	const double start = now_s();
	unsigned ms = 0;
	/* A turn is a millisecond of work; where the machine is late, the next turns are longer. */
	while (!(poll(&input, 1, 1) == 1 && input.revents & (POLLHUP | POLLIN))) {
		const double age = now_s() - start;
		for (unsigned until = (unsigned)(age * 1000); ms < until; ms++) {
			cache(ms);
			swing(ms);
			if (ms < FILL_MS)
				fill_once();
		}
		for (; leak_done < leak_rate * age; leak_done += LEAK_BLOCK)
			leak_slowly();
		for (unsigned i = 0; churn_done < churn_rate * age && i < 4000; i++)
			churn_done += (double)churn[i % 4]();
	}
	printf("expect leaked=%.0f churned=%.0f seconds=%.1f\n", leak_done, churn_done,
	       now_s() - start);
	return 0;
}
