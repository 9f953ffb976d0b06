/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockload - a steady load of contended locks for the benchmark: lockload PACE_NS [semaphore]. Four threads fight for one mutex
 * and give up their CPU while they hold it, so that the others really sleep; between two turns each works for PACE_NS. With
 * "semaphore" they are two pairs, and each of a pair waits for the other's post.
 * On SIGUSR1 prints "ops N ns T cpu_ns C" since the last time; runs until SIGTERM.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ullong ops;
static uint64_t pace_ns, pace_turns;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Without a system call: where any of them is traced, all of them cost more, and that is not what this is about. */
static void spin(uint64_t turns)
{
	for (uint64_t i = 0; i < turns; i++)
		__asm__ volatile("");
}

static uint64_t turns_of_pace(void)
{
	uint64_t best = 0;
	for (int i = 0; i < 20; i++) {
		const uint64_t from = now_ns(CLOCK_THREAD_CPUTIME_ID);
		spin(100000);
		const uint64_t took = now_ns(CLOCK_THREAD_CPUTIME_ID) - from;
		if (took && 100000 * pace_ns / took > best)
			best = 100000 * pace_ns / took;
	}
	return best;
}

static __attribute__((noinline)) void do_locked(void)
{
	pthread_mutex_lock(&lock);
	sched_yield();
	pthread_mutex_unlock(&lock);
	__asm__ volatile("");
}

static void *worker(void *arg)
{
	(void)arg;
	for (;;) {
		do_locked();
		atomic_fetch_add_explicit(&ops, 1, memory_order_relaxed);
		spin(pace_turns);
	}
	return NULL;
}

static sem_t posted[4];

static __attribute__((noinline)) void do_round(size_t mine)
{
	sem_post(&posted[mine ^ 1]);
	sem_wait(&posted[mine]);
	__asm__ volatile("");
}

static void *partner(void *arg)
{
	for (;;) {
		do_round((size_t)(uintptr_t)arg);
		atomic_fetch_add_explicit(&ops, 1, memory_order_relaxed);
		spin(pace_turns);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const bool semaphores = argc > 2 && strcmp(argv[2], "semaphore") == 0;
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pace_ns = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	pace_turns = turns_of_pace();
	for (unsigned i = 0; i < 4; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, semaphores ? partner : worker, (void *)(uintptr_t)i);
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (int signal_no = SIGUSR1; signal_no == SIGUSR1;) {
		uint64_t from = now_ns(CLOCK_MONOTONIC), cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
		unsigned long long before = atomic_load(&ops);
		sigwait(&signals, &signal_no);
		printf("ops %llu ns %llu cpu_ns %llu\n", atomic_load(&ops) - before,
		       (unsigned long long)(now_ns(CLOCK_MONOTONIC) - from),
		       (unsigned long long)(now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu));
		fflush(stdout);
	}
	_exit(0);
}
