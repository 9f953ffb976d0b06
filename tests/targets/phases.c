/* SPDX-License-Identifier: Apache-2.0 */
/*
 * phases - a program that does one thing and then another, and says when it did.
 *
 * Threads "worker-1" and "worker-2" are each busy in first_phase() until it has used so much CPU time of its own, then in second_phase(), by turns,
 * until SIGTERM. The thread "idle" waits. At its end it prints for each phase "phase NAME THREAD BEGIN END", by CLOCK_MONOTONIC in nanoseconds.
 *
 * Usage: phases [MILLISECONDS of CPU time a phase, default 400]
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define WORKERS  2
#define MOST     4096

static atomic_bool stop;
static volatile uint64_t sink;
static uint64_t phase_ns = 400000000;

static struct worker {
	pthread_t thread;
	size_t n;
	struct phase {
		const char *name;
		uint64_t begin, end;
	} phases[MOST];
} workers[WORKERS];

static uint64_t now(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static inline __attribute__((always_inline)) void work(uint64_t factor)
{
	uint64_t x = sink;
	for (int i = 0; i < 20000; i++)
		x = x * factor + (x >> 7);
	sink = x;
}

NOINLINE static void first_phase(uint64_t until)
{
	while (now(CLOCK_THREAD_CPUTIME_ID) < until && !stop)
		work(0x9fb21c651e98df25ull);
}

NOINLINE static void second_phase(uint64_t until)
{
	while (now(CLOCK_THREAD_CPUTIME_ID) < until && !stop)
		work(0xd6e8feb86659fd93ull);
}

static void *worker(void *arg)
{
	struct worker *self = arg;
	uint64_t until = 0;
	while (!stop && self->n < MOST) {
		const size_t at = self->n++;
		struct phase *phase = &self->phases[at];
		*phase = (struct phase){ at % 2 ? "second" : "first", now(CLOCK_MONOTONIC), 0 };
		until += phase_ns;
		if (at % 2)
			second_phase(until);
		else
			first_phase(until);
		phase->end = now(CLOCK_MONOTONIC);
	}
	return NULL;
}

static void *idle(void *arg)
{
	pause();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t waits;
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (argc > 1)
		phase_ns = strtoull(argv[1], NULL, 10) * 1000000;
	pthread_create(&waits, NULL, idle, NULL);
	pthread_setname_np(waits, "idle");
	for (int i = 0; i < WORKERS; i++) {
		char name[16];
		snprintf(name, sizeof(name), "worker-%d", i + 1);
		pthread_create(&workers[i].thread, NULL, worker, &workers[i]);
		pthread_setname_np(workers[i].thread, name);
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	sigwait(&set, &sig);
	stop = true;
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(workers[i].thread, NULL);
		for (size_t p = 0; p < workers[i].n; p++)
			printf("phase %s worker-%d %llu %llu\n", workers[i].phases[p].name, i + 1,
			       (unsigned long long)workers[i].phases[p].begin,
			       (unsigned long long)workers[i].phases[p].end);
	}
	return 0;
}
