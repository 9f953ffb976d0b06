/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leak - a program that forgets to free: remember() keeps 64 KiB every 2 ms, up to 1 GiB, and answer() gives back as much. Runs
 * until SIGTERM.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BYTES = 65536, KEPT = 16384 };

static void *kept[KEPT];

static __attribute__((noinline)) void *remember(void)
{
	void *block = malloc(BYTES);
	if (block)
		memset(block, 1, BYTES);
	__asm__ volatile("");
	return block;
}

static __attribute__((noinline)) void answer(void)
{
	void *block = malloc(BYTES);
	if (block)
		memset(block, 2, BYTES);
	__asm__ volatile("" ::"r"(block) : "memory");
	free(block);
}

static void *serve(void *arg)
{
	const struct timespec pause = { .tv_nsec = 2000000 };
	(void)arg;
	for (size_t i = 0;; i++) {
		answer();
		if (i < KEPT)
			kept[i] = remember();
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return NULL;
}

int main(void)
{
	sigset_t ends;
	pthread_t thread;
	int signal_no;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (pthread_create(&thread, NULL, serve, NULL) != 0)
		return 3;
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	sigwait(&ends, &signal_no);
	_exit(0);
}
