/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_threads - a server's threads: heap_threads N [NAP_US]. N threads that nap for NAP_US (5000) and then allocate and free a
 * few blocks. Prints "ready"; ends on SIGTERM.
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define BLOCKS 64

static long nap_us = 5000;

static void *serve(void *arg)
{
	uint32_t x = 2463534242u + (uint32_t)(uintptr_t)arg;
	char *blocks[BLOCKS] = { 0 };
	const struct timespec nap = { nap_us / 1000000, nap_us % 1000000 * 1000 };
	for (;;) {
		nanosleep(&nap, NULL);
		for (int i = 0; i < BLOCKS; i++) {
			x = x * 1664525u + 1013904223u;
			free(blocks[i]);
			blocks[i] = malloc(16 + x % 4081);
			if (blocks[i])
				blocks[i][0] = 1;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 0;
	if (n < 1)
		return 2;
	if (argc > 2)
		nap_us = atol(argv[2]);
	for (int i = 0; i < n; i++) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, serve, (void *)(uintptr_t)i))
			return 3;
	}
	printf("ready\n");
	fflush(stdout);
	for (;;)
		pause();
}
