/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Allocates nothing until it is told to, then a known number of blocks as fast as it can.
 *
 *   heap_burst THREADS COUNT BYTES
 *
 * Prints "pid N", "ready". At SIGUSR1 each thread allocates COUNT blocks of BYTES; all but the first eight of it are freed
 * at once. Then "done"; it keeps those eight, and ends at SIGTERM with "kept N".
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define KEPT        8
#define THREADS_MAX 16

static size_t count, bytes;
static atomic_bool go;
static atomic_int done, kept;
static void *blocks[THREADS_MAX][KEPT];

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void *burst(void *arg)
{
	void **mine = arg;
	while (!atomic_load(&go))
		nap();
	for (size_t i = 0; i < count; i++) {
		void *block = malloc(bytes);
		__asm__ volatile("" : : "r"(block) : "memory");
		if (i < KEPT)
			mine[i] = block;
		else
			free(block);
	}
	atomic_fetch_add(&done, 1);
	for (;;)
		pause();
	return NULL;
}

static volatile sig_atomic_t told, over;

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		told = 1;
	else
		over = 1;
}

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(3);
}

int main(int argc, char **argv)
{
	char text[64];
	if (argc < 4)
		return 2;
	const int threads = atoi(argv[1]);
	count = strtoul(argv[2], NULL, 10);
	bytes = strtoul(argv[3], NULL, 10);
	signal(SIGUSR1, on_signal);
	signal(SIGTERM, on_signal);
	for (int i = 0; i < threads && i < THREADS_MAX; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, burst, blocks[i]);
	}
	snprintf(text, sizeof(text), "pid %d\nready\n", (int)getpid());
	say(text);
	while (!told)
		nap();
	atomic_store(&go, true);
	while (atomic_load(&done) < threads)
		nap();
	say("done\n");
	while (!over)
		nap();
	for (int i = 0; i < threads; i++) {
		for (int k = 0; k < KEPT; k++)
			atomic_fetch_add(&kept, blocks[i][k] != NULL);
	}
	snprintf(text, sizeof(text), "kept %d\n", atomic_load(&kept));
	say(text);
	return 0;
}
