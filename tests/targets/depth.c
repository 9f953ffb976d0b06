/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depth - for benchmarks: N threads work below D frames of recursion and count their rounds.
 *
 * Usage: depth [D [N]]. A line on stdin is answered with "rounds R cpu NS".
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static atomic_ulong rounds;
static volatile uint64_t sink;

static volatile sig_atomic_t stop;

static __attribute__((noinline)) void work(void)
{
	while (!stop) {
		for (int i = 0; i < 1000; i++)
			sink += (uint64_t)i * sink;
		atomic_fetch_add_explicit(&rounds, 1, memory_order_relaxed);
	}
}

static __attribute__((noinline)) void descend(long depth)
{
	if (depth <= 0)
		work();
	else
		descend(depth - 1);
	sink++; /* so that this is no jump */
}

static void *start(void *depth)
{
	descend((long)(intptr_t)depth);
	return NULL;
}

static void on_term(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(int argc, char **argv)
{
	long depth = argc > 1 ? atol(argv[1]) : 20;
	long n = argc > 2 ? atol(argv[2]) : 1;
	signal(SIGTERM, on_term);
	for (long i = 0; i < n; i++) {
		pthread_t thread;
		/* start, clone3's part and work make three of the frames */
		pthread_create(&thread, NULL, start, (void *)(intptr_t)(depth - 4));
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (getchar() != EOF) {
		struct timespec cpu;
		clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
		printf("rounds %lu cpu %lld\n", atomic_load(&rounds),
		       (long long)cpu.tv_sec * 1000000000 + cpu.tv_nsec);
		fflush(stdout);
	}
	return 0;
}
