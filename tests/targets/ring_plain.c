/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two threads that deadlock on recursive mutexes, in the C that every C library knows (also built against musl, whose
 * mutexes keep their owner in the futex word).
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "settle.h"

static pthread_mutex_t locks[2];
static pthread_barrier_t both_hold;

__attribute__((noinline)) static void take_other(int mine)
{
	pthread_mutex_lock(&locks[!mine]);
	__asm__ volatile("" ::: "memory");
}

static void *member(void *arg)
{
	int mine = *(int *)arg;
	pthread_mutex_lock(&locks[mine]);
	pthread_barrier_wait(&both_hold);
	take_other(mine);
	return NULL;
}

static void on_term(int signal_no)
{
	(void)signal_no;
	_exit(0);
}

int main(void)
{
	static int numbers[2] = { 0, 1 };
	pthread_mutexattr_t attr;
	pthread_t threads[2];
	signal(SIGTERM, on_term);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_barrier_init(&both_hold, NULL, 2);
	for (int i = 0; i < 2; i++)
		pthread_mutex_init(&locks[i], &attr);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, member, &numbers[i]);
	settle(NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (;;)
		pause();
}
