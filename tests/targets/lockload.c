/* SPDX-License-Identifier: Apache-2.0 */
/*
 * lockload - a steady load of contended locks for the benchmark: lockload PACE_NS. Four threads fight for one mutex
 * and give up their CPU while they hold it, so that the others really sleep; between two turns each works for PACE_NS.
 * On SIGUSR1 prints "ops N ns T cpu_ns C" since the last time; runs until SIGTERM.
 */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ullong ops;
static uint64_t pace_ns;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void work(uint64_t ns)
{
	uint64_t until = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
	while (ns && now_ns(CLOCK_THREAD_CPUTIME_ID) < until)
		continue;
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
		work(pace_ns);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	pace_ns = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
	for (int i = 0; i < 4; i++) {
		pthread_t thread;
		pthread_create(&thread, NULL, worker, NULL);
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
