/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threads - a process of many threads. Usage: threads WHAT [N]
 *   sleep N        N threads sleep, one works in busy_one(); at each SIGUSR1 main() starts 20 more that sleep
 *   churn N [MS]   N threads a second are created, work MS (0.5) milliseconds in brief_work() and end
 *   orphan         main() ends with pthread_exit; a worker goes on in busy_orphan()
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sink;

static __attribute__((noinline)) void busy_one(uint64_t rounds)
{
	for (uint64_t i = 0; i < rounds; i++)
		sink += i * i;
}

static long brief_us = 500;

/* By the thread's own clock: how busy the machine is makes no difference. */
static __attribute__((noinline)) void brief_work(void)
{
	struct timespec now = { 0 };
	while (now.tv_sec * 1000000 + now.tv_nsec / 1000 < brief_us) {
		for (uint64_t i = 0; i < 10000; i++)
			sink += i * i;
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	}
}

static __attribute__((noinline)) void busy_orphan(void)
{
	for (;;)
		sink += sink * 3 + 1;
}

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

static void *worker(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "one-worker");
	for (;;)
		busy_one(1000000);
	return NULL;
}

static void *brief(void *arg)
{
	(void)arg;
	brief_work();
	return NULL;
}

static void *orphan(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "orphan");
	busy_orphan();
	return NULL;
}

static pthread_t start(void *(*run)(void *))
{
	pthread_attr_t attr;
	pthread_t thread;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 65536);
	if (pthread_create(&thread, &attr, run, NULL) != 0) {
		perror("pthread_create");
		exit(1);
	}
	return thread;
}

static void on_term(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

static volatile sig_atomic_t more;

static void on_more(int signal_no)
{
	(void)signal_no;
	more = 1;
}

static _Noreturn void churn(long per_second)
{
	const struct timespec gap = { .tv_nsec = 1000000000L / per_second };
	for (;;) {
		pthread_detach(start(brief));
		nanosleep(&gap, NULL);
	}
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "sleep";
	long n = argc > 2 ? atol(argv[2]) : 100;
	brief_us = argc > 3 ? (long)(atof(argv[3]) * 1000) : brief_us;
	signal(SIGTERM, on_term);
	signal(SIGUSR1, on_more);
	if (strcmp(what, "sleep") == 0) {
		for (long i = 0; i < n; i++)
			start(sleeper);
		start(worker);
	} else if (strcmp(what, "orphan") == 0) {
		start(orphan);
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (strcmp(what, "churn") == 0)
		churn(n);
	if (strcmp(what, "orphan") == 0)
		pthread_exit(NULL);
	for (;;) {
		pause();
		for (int i = 0; more && i < 20; i++)
			start(sleeper);
		more = 0;
	}
}
