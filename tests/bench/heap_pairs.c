/* SPDX-License-Identifier: Apache-2.0 */
/*
 * heap_pairs - two threads that do nothing but free and malloc blocks of 16 to 4096 bytes: an extreme churn.
 *
 * Every 100 ms it prints the time, the pairs done since by both, and the processor time they took (ns): pairs per
 * processor second hardly depend on what else the machine does. With an argument N each thread spins N rounds between two
 * pairs, which makes it a server of about 1 GB/s for N = 400. Ends on SIGTERM.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 256

static int spin;
static struct {
	_Atomic uint64_t pairs;
	char pad[120];
} counts[2];

static __attribute__((noinline)) char *take(size_t n)
{
	char *block = malloc(n);
	block[0] = 1;
	return block;
}

static void *churn(void *arg)
{
	size_t self = (size_t)arg;
	char *slots[SLOTS] = { 0 };
	uint32_t x = 2463534242u + (uint32_t)self;
	for (;;) {
		for (int i = 0; i < 1000; i++) {
			x ^= x << 13;
			x ^= x >> 17;
			x ^= x << 5;
			free(slots[x % SLOTS]);
			slots[x % SLOTS] = take(16 + (x >> 8) % 4081);
			for (volatile int s = 0; s < spin; s = s + 1)
				;
		}
		atomic_fetch_add_explicit(&counts[self].pairs, 1000, memory_order_relaxed);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[2];
	spin = argc > 1 ? atoi(argv[1]) : 0;
	for (size_t i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, churn, (void *)i);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	uint64_t before = 0, cpu_before = 0;
	for (;;) {
		struct timespec ts = { 0, 100000000 };
		struct timespec at, cpu;
		nanosleep(&ts, NULL);
		clock_gettime(CLOCK_MONOTONIC, &at);
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
		uint64_t cpu_now = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec;
		uint64_t now = counts[0].pairs + counts[1].pairs;
		printf("%llu %llu %llu\n",
		       (unsigned long long)at.tv_sec * 1000000000ull +
			       (unsigned long long)at.tv_nsec,
		       (unsigned long long)(now - before),
		       (unsigned long long)(cpu_now - cpu_before));
		fflush(stdout);
		before = now;
		cpu_before = cpu_now;
	}
}
