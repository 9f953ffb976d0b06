/* SPDX-License-Identifier: Apache-2.0 */
/*
 * locks - well-known shapes of contention: locks slow|slower|brief|idle|abba|herd|fork|churn|storm [THREADS]. Runs until SIGTERM.
 *
 * slow   one thread holds a mutex for 100 ms at a time, 32 others want it for a moment
 * slower as slow, but for 400 ms: what the 32 do in between is less of it, also where they are let run late
 * brief  eight threads fight for a mutex that is held for 100 us, and nap for as long in between
 * idle   500 threads of a pool sleep on a condition variable, two threads fight for a mutex
 * abba   two threads have taken two mutexes in opposite order and never go on
 * herd   a broadcast every 10 ms wakes 32 threads, which all want the condition's mutex
 * fork   as slow, and a child is forked every 20 ms that waits on a futex of its own
 * churn  threads come and go, each waits for a mutex once; "waits" are milliseconds that they waited
 * storm  pairs of threads play ping-pong over futexes as fast as they can; prints "waits N ns T" at its end. One more sleeps for
 *        300 ms at a time, each time at another word
 */
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline))
/* No tail call, and no two functions alike: those would be folded into one. */
#define NOT_TAIL __asm__ volatile("# %0" ::"i"(__LINE__))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t work_lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_ullong waits;
static atomic_int arrived;

static void nap_us(long us)
{
	struct timespec time = { us / 1000000, us % 1000000 * 1000 };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

NOINLINE static void slow_lock(void)
{
	pthread_mutex_lock(&lock);
	NOT_TAIL;
}
NOINLINE static void slow_unlock(void)
{
	pthread_mutex_unlock(&lock);
	NOT_TAIL;
}
NOINLINE static void fast_lock(void)
{
	pthread_mutex_lock(&lock);
	NOT_TAIL;
}
NOINLINE static void fast_unlock(void)
{
	pthread_mutex_unlock(&lock);
	NOT_TAIL;
}

static void *slow_holder(void *arg)
{
	long hold_us = (long)(intptr_t)arg;
	pthread_setname_np(pthread_self(), "slow");
	for (;;) {
		slow_lock();
		nap_us(hold_us);
		slow_unlock();
		nap_us(1000);
	}
	return NULL;
}

NOINLINE static void brief_lock(void)
{
	pthread_mutex_lock(&lock);
	NOT_TAIL;
}
NOINLINE static void brief_nap(void)
{
	nap_us(100);
	NOT_TAIL;
}

static void *brief_user(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "brief");
	for (;;) {
		brief_lock();
		nap_us(100);
		pthread_mutex_unlock(&lock);
		brief_nap();
	}
	return NULL;
}

static void *fast_user(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "fast");
	for (;;) {
		fast_lock();
		fast_unlock();
		nap_us(2000);
	}
	return NULL;
}

NOINLINE static void await_work(void)
{
	pthread_mutex_lock(&work_lock);
	atomic_fetch_add(&arrived, 1);
	pthread_cond_wait(&work, &work_lock);
	pthread_mutex_unlock(&work_lock);
	NOT_TAIL;
}

static void *pool_thread(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "pool");
	for (;;)
		await_work();
	return NULL;
}

static void *broadcaster(void *arg)
{
	(void)arg;
	for (;;) {
		nap_us(10000);
		pthread_mutex_lock(&work_lock);
		pthread_cond_broadcast(&work);
		pthread_mutex_unlock(&work_lock);
	}
	return NULL;
}

NOINLINE static void take_second(pthread_mutex_t *second)
{
	atomic_fetch_add(&arrived, 1);
	while (atomic_load(&arrived) < 2)
		nap_us(100);
	pthread_mutex_lock(second);
	NOT_TAIL;
}

static void *take_both(void *arg)
{
	bool backwards = arg != NULL;
	pthread_setname_np(pthread_self(), backwards ? "backwards" : "forwards");
	pthread_mutex_lock(backwards ? &other : &lock);
	take_second(backwards ? &lock : &other);
	return NULL;
}

static void *forker(void *arg)
{
	(void)arg;
	for (;;) {
		uint32_t word = 0;
		pid_t child = fork();
		if (child == 0) {
			struct timespec time = { 0, 10000000 };
			syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
			_exit(0);
		}
		waitpid(child, NULL, 0);
		nap_us(20000);
	}
	return NULL;
}

NOINLINE static void once_lock(void)
{
	pthread_mutex_lock(&lock);
	NOT_TAIL;
}

/* What they waited that have waited, in nanoseconds; under the lock. */
static unsigned long long once_waited;

static void *once_user(void *arg)
{
	struct timespec from, to;
	(void)arg;
	clock_gettime(CLOCK_MONOTONIC, &from);
	once_lock();
	clock_gettime(CLOCK_MONOTONIC, &to);
	once_waited += (unsigned long long)((to.tv_sec - from.tv_sec) * 1000000000ll + to.tv_nsec -
					    from.tv_nsec);
	atomic_store_explicit(&waits, once_waited / 1000000, memory_order_relaxed);
	nap_us(500);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *churner(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_t threads[8];
		for (int i = 0; i < 8; i++)
			pthread_create(&threads[i], NULL, once_user, NULL);
		for (int i = 0; i < 8; i++)
			pthread_join(threads[i], NULL);
	}
	return NULL;
}

/* A word for each side of a pair: sleep until it is 1, set the other's. */
struct pair {
	_Alignas(64) uint32_t word[2];
};
static struct pair pairs[16];

NOINLINE static void ping_wait(uint32_t *word)
{
	while (__atomic_exchange_n(word, 0, __ATOMIC_SEQ_CST) == 0)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, NULL, NULL, 0);
}

static void *ping_pong(void *arg)
{
	size_t number = (size_t)(intptr_t)arg;
	uint32_t *mine = &pairs[number / 2].word[number % 2],
		 *his = &pairs[number / 2].word[!(number % 2)];
	pthread_setname_np(pthread_self(), "pingpong");
	for (;;) {
		ping_wait(mine);
		atomic_fetch_add_explicit(&waits, 1, memory_order_relaxed);
		__atomic_store_n(his, 1, __ATOMIC_SEQ_CST);
		syscall(SYS_futex, his, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
	return NULL;
}

NOINLINE static void rare_wait(uint32_t *word)
{
	const struct timespec time = { 0, 300000000 };
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
	NOT_TAIL;
}

static void *sleep_here_and_there(void *arg)
{
	static uint32_t words[4096];
	(void)arg;
	pthread_setname_np(pthread_self(), "rare");
	for (size_t i = 0;; i++)
		rare_wait(&words[i % 4096]);
	return NULL;
}

static void start(void *(*run)(void *), intptr_t arg)
{
	pthread_t thread;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 * 1024);
	if (pthread_create(&thread, &attr, run, (void *)arg) != 0)
		_exit(3);
}

static bool run(const char *shape, int n)
{
	const bool slower = strcmp(shape, "slower") == 0;
	if (strcmp(shape, "slow") == 0 || slower || strcmp(shape, "fork") == 0) {
		start(slow_holder, slower ? 400000 : 100000);
		for (int i = 0; i < (n ? n : 32); i++)
			start(fast_user, 0);
		if (strcmp(shape, "fork") == 0)
			start(forker, 0);
	} else if (strcmp(shape, "brief") == 0) {
		for (int i = 0; i < (n ? n : 8); i++)
			start(brief_user, 0);
	} else if (strcmp(shape, "idle") == 0) {
		for (int i = 0; i < (n ? n : 500); i++)
			start(pool_thread, 0);
		while (atomic_load(&arrived) < (n ? n : 500))
			nap_us(1000);
		start(slow_holder, 2000);
		start(fast_user, 0);
	} else if (strcmp(shape, "abba") == 0) {
		start(take_both, 0);
		start(take_both, 1);
	} else if (strcmp(shape, "herd") == 0) {
		for (int i = 0; i < (n ? n : 32); i++)
			start(pool_thread, 0);
		start(broadcaster, 0);
	} else if (strcmp(shape, "churn") == 0) {
		start(churner, 0);
	} else if (strcmp(shape, "storm") == 0) {
		for (int i = 0; i < (n ? n : 4); i++)
			start(ping_pong, i);
		for (int i = 0; i < (n ? n : 4); i += 2) {
			pairs[i / 2].word[0] = 1;
			syscall(SYS_futex, &pairs[i / 2].word[0], FUTEX_WAKE_PRIVATE, 1, NULL, NULL,
				0);
		}
		start(sleep_here_and_there, 0);
	} else {
		return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	sigset_t ends;
	struct timespec from, to;
	int signal_no;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);
	if (argc < 2 || !run(argv[1], argc > 2 ? atoi(argv[2]) : 0))
		return 2;
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	do {
		clock_gettime(CLOCK_MONOTONIC, &from);
		unsigned long long before = atomic_load(&waits);
		sigwait(&ends, &signal_no);
		clock_gettime(CLOCK_MONOTONIC, &to);
		printf("waits %llu ns %lld\n", atomic_load(&waits) - before,
		       (to.tv_sec - from.tv_sec) * 1000000000ll + to.tv_nsec - from.tv_nsec);
		fflush(stdout);
	} while (signal_no == SIGUSR1);
	_exit(0);
}
