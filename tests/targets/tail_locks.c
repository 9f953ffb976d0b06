/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tail_locks - releases locks by tail calls: for each way a thread that holds a lock of its own for 2 ms at a time, and one that waits
 * for it. Says "stack NAME;...", innermost first, for each. Runs until SIGTERM.
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noipa))
#endif
#define KEEP __asm__ volatile("" ::: "memory") /* no tail call: the frame stays */

struct lock {
	pthread_mutex_t mutex;
	void (*hold)(struct lock *lock);
	const char *name;
	unsigned turns;
};

static int (*volatile unlock)(pthread_mutex_t *) = pthread_mutex_unlock;
static atomic_int done;

static NOINLINE void take(struct lock *lock)
{
	pthread_mutex_lock(&lock->mutex);
	usleep(2000);
	lock->turns++;
}

static NOINLINE void hold_plain(struct lock *lock)
{
	take(lock);
	pthread_mutex_unlock(&lock->mutex);
}

/* Two exits, which are not at one place. */
static NOINLINE void hold_twice(struct lock *lock)
{
	take(lock);
	if (lock->turns % 2) {
		pthread_mutex_unlock(&lock->mutex);
		return;
	}
	usleep(1);
	lock->turns += 2;
	pthread_mutex_unlock(&lock->mutex);
}

static NOINLINE void release(struct lock *lock)
{
	lock->turns += 2;
	pthread_mutex_unlock(&lock->mutex);
}

/* It and release() have both left. */
static NOINLINE void hold_chain(struct lock *lock)
{
	take(lock);
	release(lock);
}

static NOINLINE void release_left(struct lock *lock)
{
	lock->turns += 2;
	pthread_mutex_unlock(&lock->mutex);
}

static NOINLINE void release_right(struct lock *lock)
{
	lock->turns += 4;
	pthread_mutex_unlock(&lock->mutex);
}

/* Which of the two it was nobody can tell. */
static NOINLINE void hold_either(struct lock *lock)
{
	take(lock);
	if (lock->turns % 2)
		release_left(lock);
	else
		release_right(lock);
}

static NOINLINE void hold_pointer(struct lock *lock)
{
	take(lock);
	unlock(&lock->mutex);
}

static NOINLINE void hold_kept(struct lock *lock)
{
	take(lock);
	pthread_mutex_unlock(&lock->mutex);
	KEEP;
}

/* One caller each, by a call that names the function. */
#define RUN(way)                                                                                   \
	static NOINLINE void run_##way(struct lock *lock)                                          \
	{                                                                                          \
		hold_##way(lock);                                                                  \
		usleep(100);                                                                       \
	}
RUN(plain)
RUN(twice)
RUN(chain)
RUN(either)
RUN(pointer)
RUN(kept)

static struct lock locks[] = {
	{ .name = "hold_plain;run_plain", .hold = run_plain },
	{ .name = "hold_twice;run_twice", .hold = run_twice },
	{ .name = "release;hold_chain;run_chain", .hold = run_chain },
	{ .name = "hold_either;run_either", .hold = run_either },
	{ .name = "hold_pointer;run_pointer", .hold = run_pointer },
	{ .name = "hold_kept;run_kept", .hold = run_kept },
};
#define N_LOCKS (sizeof(locks) / sizeof(locks[0]))

static void *holder(void *arg)
{
	struct lock *lock = arg;
	while (!done)
		lock->hold(lock);
	return NULL;
}

static void *waiter(void *arg)
{
	struct lock *lock = arg;
	while (!done) {
		pthread_mutex_lock(&lock->mutex);
		pthread_mutex_unlock(&lock->mutex);
		usleep(100);
	}
	return NULL;
}

int main(void)
{
	pthread_t threads[2 * N_LOCKS];
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < N_LOCKS; i++) {
		pthread_mutex_init(&locks[i].mutex, NULL);
		pthread_create(&threads[2 * i], NULL, holder, &locks[i]);
		pthread_create(&threads[2 * i + 1], NULL, waiter, &locks[i]);
		printf("stack %s\n", locks[i].name);
	}
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	sigwait(&set, &sig);
	done = 1;
	for (size_t i = 0; i < 2 * N_LOCKS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
