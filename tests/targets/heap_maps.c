/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_maps - a process whose free address space is never where it was: one thread maps what lies behind the
 * libraries and unmaps it, another allocates.
 * Prints "ready"; ends on SIGTERM with "maps N".
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define BYTES ((size_t)1 << 26)

static atomic_bool stop;
static uint64_t maps;

static void nap(void)
{
	const struct timespec time = { 0, 3000000 };
	nanosleep(&time, NULL);
}

/* The end of the mapping below the stack's: the place that a neighbour of the libraries would choose. */
static uintptr_t libraries_end(void)
{
	char line[512];
	unsigned long start, end, last = 0;
	FILE *file = fopen("/proc/self/maps", "re");
	while (file && fgets(line, sizeof(line), file) && !strstr(line, "[stack]")) {
		if (sscanf(line, "%lx-%lx", &start, &end) == 2)
			last = end;
	}
	if (file)
		fclose(file);
	return last;
}

static void *map(void *arg)
{
	void *place = arg;
	while (!atomic_load(&stop)) {
		void *at = mmap(place, BYTES, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
				-1, 0);
		nap();
		if (at != MAP_FAILED) {
			munmap(at, BYTES);
			maps++;
		}
		nap();
	}
	return NULL;
}

static void *allocate(void *arg)
{
	(void)arg;
	while (!atomic_load(&stop)) {
		char *volatile block = malloc(100);
		free(block);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[2];
	sigset_t ends;
	int signal_no;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (pthread_create(&threads[0], NULL, map, (void *)(libraries_end() + 4096)) ||
	    pthread_create(&threads[1], NULL, allocate, NULL))
		return 3;
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	sigwait(&ends, &signal_no);
	atomic_store(&stop, true);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("maps %llu\n", (unsigned long long)maps);
	return 0;
}
