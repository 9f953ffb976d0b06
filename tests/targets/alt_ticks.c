/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Works, and is interrupted every millisecond by a handler that works too, on an alternate stack: a third of its time.
 *
 *   alt_ticks [THREADS] [shallow]
 *
 * main or each thread calls outer(), middle(), work(), which goes on for ever; with "shallow" work() is called anew every few
 * microseconds, by two callers in turn. Prints "pid N", "ready"; ends at SIGTERM with "ticks N".
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))

static volatile sig_atomic_t over;
static atomic_uint ticks;
static volatile unsigned sink;

static uint64_t cpu_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

NOINLINE static void handler_work(void)
{
	for (uint64_t until = cpu_ns() + 300000; cpu_ns() < until;) {
		for (unsigned i = 0; i < 1000; i++)
			sink++;
	}
}

NOINLINE static void on_tick(int sig)
{
	(void)sig;
	handler_work();
	atomic_fetch_add(&ticks, 1);
}

static void on_end(int sig)
{
	(void)sig;
	over = 1;
}

NOINLINE static void work(bool once)
{
	volatile char local[512];
	do {
		for (unsigned i = 0; i < 2000; i++) {
			local[i & 255] = (char)i;
			sink += (unsigned)local[i & 127];
		}
	} while (!over && !once);
}

NOINLINE static void middle(bool shallow)
{
	volatile char local[300];
	local[0] = 1;
	work(shallow);
	local[1] = local[0];
}

NOINLINE static void other_middle(bool shallow)
{
	volatile char local[900];
	local[0] = 1;
	work(shallow);
	local[1] = local[0];
}

NOINLINE static void outer(bool shallow)
{
	do {
		middle(shallow);
		if (shallow)
			other_middle(shallow);
	} while (!over);
	__asm__ volatile("");
}

/* A timer of this very thread, and a stack for its handler. */
static void start_ticks(void)
{
	const size_t bytes = 65536;
	stack_t stack = { .ss_sp = malloc(bytes), .ss_size = bytes };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	event._sigev_un._tid = (int)syscall(SYS_gettid);
	const struct itimerspec every = { .it_interval.tv_nsec = 1000000,
					  .it_value.tv_nsec = 1000000 };
	timer_t timer;
	sigaltstack(&stack, NULL);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	timer_settime(timer, 0, &every, NULL);
}

static void *run(void *shallow)
{
	start_ticks();
	outer(shallow != NULL);
	return NULL;
}

int main(int argc, char **argv)
{
	const int threads = argc > 1 ? atoi(argv[1]) : 0;
	void *shallow = argc > 2 ? (void *)&ticks : NULL;
	struct sigaction tick = { .sa_handler = on_tick, .sa_flags = SA_ONSTACK | SA_RESTART };
	sigaction(SIGUSR1, &tick, NULL);
	signal(SIGTERM, on_end);
	pthread_t all[16];
	for (int i = 0; i < threads && i < 16; i++)
		pthread_create(&all[i], NULL, run, shallow);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (!threads)
		run(shallow);
	for (int i = 0; i < threads && i < 16; i++)
		pthread_join(all[i], NULL);
	printf("ticks %u\n", atomic_load(&ticks));
	return 0;
}
