/* SPDX-License-Identifier: Apache-2.0 */
/*
 * waits - threads that wait for known times on one kind of primitive, and say afterwards how long it was.
 *
 * Usage: waits KIND HOLD_US [COUNT]. It runs until SIGTERM or COUNT waits, and prints on SIGUSR1 and at its end
 * a line "truth contentions N delay_ns D least_ns L most_ns M": for each wait the time from just before the blocking call, which is
 * known to block, until the moment just before the call that ends it; and the bounds of note_wait(). Kinds are the rows of `kinds` below.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
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

static atomic_bool stop;
static uint64_t hold_ns;

/* Written by the waiter before it blocks and by the releaser before it releases; both know of each other. */
static atomic_ullong began_ns, asleep_ns, released_ns;
static atomic_ullong true_count, true_delay_ns, least_delay_ns, most_delay_ns, count_max;

static uint64_t now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void nap(uint64_t ns)
{
	struct timespec time = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

/*
 * The two sides take turns: the holder takes the lock, lets the waiter go for it, waits until it sleeps, holds
 * for hold_ns, releases. Turns are given by spinning on `turn` with naps, so that no other futex is used.
 */
static atomic_int turn;
static atomic_int waiter_tid, waits_in = SYS_futex; /* the system call that it sleeps in */

static void await_turn(int want)
{
	while (atomic_load(&turn) != want && !atomic_load(&stop))
		nap(20000);
}

/* Until the waiter is asleep: its state in /proc is S, inside futex. */
static void await_sleep(void)
{
	char path[64], text[64];
	while (!atomic_load(&stop)) {
		snprintf(path, sizeof(path), "/proc/self/task/%d/syscall",
			 atomic_load(&waiter_tid));
		FILE *file = fopen(path, "re");
		char number[16];
		snprintf(number, sizeof(number), "%d ", atomic_load(&waits_in));
		bool asleep = file && fgets(text, sizeof(text), file) &&
			      strncmp(text, number, strlen(number)) == 0;
		if (file)
			fclose(file);
		if (asleep)
			return;
		nap(20000);
	}
}

/*
 * It slept from some moment after began_ns on, and for certain from asleep_ns, until some moment after released_ns, and for
 * certain not beyond `ended`: where the machine lets a thread stand in between, only these are known.
 */
static void note_wait(uint64_t ended)
{
	const uint64_t began = atomic_load(&began_ns), released = atomic_load(&released_ns);
	atomic_fetch_add(&true_count, 1);
	atomic_fetch_add(&true_delay_ns, released - began);
	atomic_fetch_add(&least_delay_ns, released - atomic_load(&asleep_ns));
	atomic_fetch_add(&most_delay_ns, ended - began);
}

struct kind {
	const char *name;
	void (*hold)(void); /* before the waiter's turn */
	void (*wait)(void); /* blocks until release() */
	void (*release)(void);
	void (*after)(void); /* what the waiter gives back */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER, pi_mutex, robust_mutex;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static pthread_mutex_t condition_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t barrier;
static sem_t semaphore;
static atomic_bool flag;

#define NOINLINE __attribute__((noinline))

NOINLINE static void hold_mutex(void)
{
	pthread_mutex_lock(&mutex);
}
NOINLINE static void wait_mutex(void)
{
	pthread_mutex_lock(&mutex);
	__asm__ volatile("");
}
NOINLINE static void release_mutex(void)
{
	pthread_mutex_unlock(&mutex);
	__asm__ volatile("");
}
static void after_mutex(void)
{
	pthread_mutex_unlock(&mutex);
}

NOINLINE static void wait_timedlock(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 100;
	pthread_mutex_timedlock(&mutex, &until);
	__asm__ volatile("");
}

static void hold_pi(void)
{
	pthread_mutex_lock(&pi_mutex);
}
NOINLINE static void wait_pi(void)
{
	pthread_mutex_lock(&pi_mutex);
	__asm__ volatile("");
}
NOINLINE static void release_pi(void)
{
	pthread_mutex_unlock(&pi_mutex);
	__asm__ volatile("");
}
static void after_pi(void)
{
	pthread_mutex_unlock(&pi_mutex);
}

static void hold_robust(void)
{
	pthread_mutex_lock(&robust_mutex);
}
NOINLINE static void wait_robust(void)
{
	pthread_mutex_lock(&robust_mutex);
	__asm__ volatile("");
}
NOINLINE static void release_robust(void)
{
	pthread_mutex_unlock(&robust_mutex);
	__asm__ volatile("");
}
static void after_robust(void)
{
	pthread_mutex_unlock(&robust_mutex);
}

static void hold_rwlock(void)
{
	pthread_rwlock_wrlock(&rwlock);
}
NOINLINE static void wait_rdlock(void)
{
	pthread_rwlock_rdlock(&rwlock);
	__asm__ volatile("");
}
NOINLINE static void wait_wrlock(void)
{
	pthread_rwlock_wrlock(&rwlock);
	__asm__ volatile("");
}
NOINLINE static void release_rwlock(void)
{
	pthread_rwlock_unlock(&rwlock);
	__asm__ volatile("");
}
static void after_rwlock(void)
{
	pthread_rwlock_unlock(&rwlock);
}

static void hold_nothing(void)
{
}
static void after_nothing(void)
{
}
NOINLINE static void wait_sem(void)
{
	sem_wait(&semaphore);
	__asm__ volatile("");
}
NOINLINE static void release_sem(void)
{
	sem_post(&semaphore);
	__asm__ volatile("");
}

static void hold_cond(void)
{
	atomic_store(&flag, false);
}
NOINLINE static void wait_cond(void)
{
	pthread_mutex_lock(&condition_mutex);
	while (!atomic_load(&flag))
		pthread_cond_wait(&condition, &condition_mutex);
	pthread_mutex_unlock(&condition_mutex);
}
NOINLINE static void wait_cond_timed(void)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 100;
	pthread_mutex_lock(&condition_mutex);
	while (!atomic_load(&flag))
		pthread_cond_timedwait(&condition, &condition_mutex, &until);
	pthread_mutex_unlock(&condition_mutex);
}
NOINLINE static void release_cond(void)
{
	atomic_store(&flag, true);
	pthread_cond_signal(&condition);
	__asm__ volatile("");
}

NOINLINE static void wait_barrier(void)
{
	pthread_barrier_wait(&barrier);
	__asm__ volatile("");
}
NOINLINE static void release_barrier(void)
{
	pthread_barrier_wait(&barrier);
	__asm__ volatile("");
}

/* Joined threads end by themselves: the release is the end of a thread that naps for hold_ns. */
static pthread_t napper;
static atomic_bool napper_goes;
static void *nap_and_end(void *arg)
{
	(void)arg;
	while (!atomic_load(&napper_goes))
		nap(20000);
	atomic_store(&released_ns, now_ns()); /* its end is the release */
	return NULL;
}
static void hold_join(void)
{
	atomic_store(&napper_goes, false);
	pthread_create(&napper, NULL, nap_and_end, NULL);
}
NOINLINE static void wait_join(void)
{
	pthread_join(napper, NULL);
	__asm__ volatile("");
}
NOINLINE static void release_join(void)
{
	atomic_store(&napper_goes, true);
}

/* A once whose initializer is the holder's hold. */
static pthread_once_t once_control;
static atomic_bool once_runs, once_ends;
static pthread_t once_thread;
static void once_init(void)
{
	atomic_store(&once_runs, true);
	while (!atomic_load(&once_ends))
		nap(20000);
	atomic_store(&released_ns, now_ns());
}
static void *run_once(void *arg)
{
	(void)arg;
	pthread_once(&once_control, once_init);
	return NULL;
}
static void hold_once(void)
{
	static const pthread_once_t fresh = PTHREAD_ONCE_INIT;
	once_control = fresh;
	atomic_store(&once_runs, false);
	atomic_store(&once_ends, false);
	pthread_create(&once_thread, NULL, run_once, NULL);
	while (!atomic_load(&once_runs))
		nap(20000);
}
NOINLINE static void wait_once(void)
{
	pthread_once(&once_control, once_init);
	__asm__ volatile("");
}
NOINLINE static void release_once(void)
{
	atomic_store(&once_ends, true);
	pthread_join(once_thread, NULL);
}

static uint32_t own_word;
static void hold_futex(void)
{
	__atomic_store_n(&own_word, 77, __ATOMIC_SEQ_CST);
}
NOINLINE static void wait_futex(void)
{
	while (__atomic_load_n(&own_word, __ATOMIC_SEQ_CST) == 77)
		syscall(SYS_futex, &own_word, FUTEX_WAIT_PRIVATE, 77, NULL, NULL, 0);
}
NOINLINE static void release_futex(void)
{
	__atomic_store_n(&own_word, 0, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &own_word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* The same by the system call that Linux 6.7 has for waiting alone; the flags say 32 bits, private. */
#define FUTEX_WAIT_NUMBER 455
static void hold_futex_wait(void)
{
	atomic_store(&waits_in, FUTEX_WAIT_NUMBER);
	hold_futex();
}
NOINLINE static void wait_futex_wait(void)
{
	while (__atomic_load_n(&own_word, __ATOMIC_SEQ_CST) == 77)
		syscall(FUTEX_WAIT_NUMBER, &own_word, 77ul, 0xfffffffful, 0x82u, NULL,
			CLOCK_MONOTONIC);
}

static const struct kind kinds[] = {
	{ "mutex", hold_mutex, wait_mutex, release_mutex, after_mutex },
	{ "timedlock", hold_mutex, wait_timedlock, release_mutex, after_mutex },
	{ "pi", hold_pi, wait_pi, release_pi, after_pi },
	{ "robust", hold_robust, wait_robust, release_robust, after_robust },
	{ "rdlock", hold_rwlock, wait_rdlock, release_rwlock, after_rwlock },
	{ "wrlock", hold_rwlock, wait_wrlock, release_rwlock, after_rwlock },
	{ "sem", hold_nothing, wait_sem, release_sem, after_nothing },
	{ "cond", hold_cond, wait_cond, release_cond, after_nothing },
	{ "cond_timed", hold_cond, wait_cond_timed, release_cond, after_nothing },
	{ "barrier", hold_nothing, wait_barrier, release_barrier, after_nothing },
	{ "join", hold_join, wait_join, release_join, after_nothing },
	{ "once", hold_once, wait_once, release_once, after_nothing },
	{ "futex", hold_futex, wait_futex, release_futex, after_nothing },
	{ "futex_wait", hold_futex_wait, wait_futex_wait, release_futex, after_nothing },
};

static const struct kind *kind;

static void *waiter(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "waiter");
	atomic_store(&waiter_tid, (int)gettid());
	while (!atomic_load(&stop)) {
		await_turn(1);
		if (atomic_load(&stop))
			break;
		atomic_store(&began_ns, now_ns());
		kind->wait();
		const uint64_t ended = now_ns();
		kind->after();
		note_wait(ended);
		if (atomic_load(&count_max) &&
		    atomic_load(&true_count) >= atomic_load(&count_max)) {
			kill(getpid(), SIGTERM);
			pause();
		}
		atomic_store(&turn, 0);
	}
	return NULL;
}

static void *holder(void *arg)
{
	(void)arg;
	pthread_setname_np(pthread_self(), "holder");
	while (!atomic_load(&stop)) {
		await_turn(0);
		kind->hold();
		atomic_store(&turn, 1);
		await_sleep();
		atomic_store(&asleep_ns, now_ns());
		nap(hold_ns);
		atomic_store(&released_ns, now_ns());
		kind->release();
		if (atomic_load(&stop))
			break;
	}
	atomic_store(&stop, true);
	return NULL;
}

static void print_truth(void)
{
	printf("truth contentions %llu delay_ns %llu least_ns %llu most_ns %llu\n",
	       (unsigned long long)atomic_load(&true_count),
	       (unsigned long long)atomic_load(&true_delay_ns),
	       (unsigned long long)atomic_load(&least_delay_ns),
	       (unsigned long long)atomic_load(&most_delay_ns));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	pthread_t thread;
	pthread_mutexattr_t attr;
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	for (size_t i = 0; argc > 2 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (strcmp(kinds[i].name, argv[1]) == 0)
			kind = &kinds[i];
	}
	if (!kind)
		return 2;
	hold_ns = strtoull(argv[2], NULL, 10) * 1000;
	atomic_store(&count_max, argc > 3 ? strtoull(argv[3], NULL, 10) : 0);

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	pthread_mutex_init(&pi_mutex, &attr);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust_mutex, &attr);
	pthread_barrier_init(&barrier, NULL, 2);
	sem_init(&semaphore, 0, 0);

	pthread_create(&thread, NULL, waiter, NULL);
	pthread_create(&thread, NULL, holder, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	int signal_no;
	while (sigwait(&signals, &signal_no) == 0 && signal_no == SIGUSR1)
		print_truth();
	print_truth();
	_exit(0); /* the two may stand in the middle of a turn */
}
