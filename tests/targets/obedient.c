/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that does what it is told, a line each: "first" and "second" let it work in a function of that name until the next
 * line, "idle" lets it wait, "lock" makes a thread wait for a lock that "unlock" releases, "grow" takes 64 MiB, "crash" is the end.
 * Each line is answered when it has begun.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int phase; /* 0: idle */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile unsigned long sink;
static char *volatile grown; /* or it would not be */

#define WORK(name, number)                                                                         \
	__attribute__((noinline)) static void name(void)                                           \
	{                                                                                          \
		while (phase == (number))                                                          \
			sink = sink * 6364136223846793005ul + (number);                            \
	}
WORK(first_work, 1)
WORK(second_work, 2)

static void *work(void *unused)
{
	(void)unused;
	for (;;) {
		first_work();
		second_work();
		if (!phase)
			usleep(1000);
	}
	return NULL;
}

__attribute__((noinline)) static void wait_for_lock(void)
{
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

static void *locked(void *unused)
{
	(void)unused;
	wait_for_lock();
	return NULL;
}

__attribute__((noinline)) static void crash_here(void)
{
	raise(SIGSEGV);
}

static void obey(const char *line)
{
	static pthread_t waiter;
	if (strcmp(line, "first\n") == 0) {
		phase = 1;
	} else if (strcmp(line, "second\n") == 0) {
		phase = 2;
	} else if (strcmp(line, "idle\n") == 0) {
		phase = 0;
	} else if (strcmp(line, "lock\n") == 0) {
		pthread_mutex_lock(&lock);
		pthread_create(&waiter, NULL, locked, NULL);
	} else if (strcmp(line, "unlock\n") == 0) {
		pthread_mutex_unlock(&lock);
		pthread_join(waiter, NULL);
	} else if (strcmp(line, "grow\n") == 0) {
		grown = malloc(64 << 20);
		if (grown)
			memset(grown, 1, 64 << 20);
	} else if (strcmp(line, "crash\n") == 0) {
		crash_here();
	}
}

static void end(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(void)
{
	char line[64];
	pthread_t worker;
	signal(SIGTERM, end);
	pthread_create(&worker, NULL, work, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		obey(line);
		printf("does %s", line);
		fflush(stdout);
	}
	return 0;
}
