/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of idle threads, and locks that are fought for, each made of futexes in a way of its own. Beside whatever it is asked
 * for runs one pair of threads with a pthread mutex that is held for 20 ms at a time (`holder`, `waiter`).
 *
 *   pools epoch      workers wait for a counter of jobs to change
 *   pools two        the same, whose counter has the value of a held mutex and stays there
 *   pools flag       workers wait on a word of their own that is 0 until there is work
 *   pools sem        workers wait on one semaphore for jobs
 *   pools limit      threads share two places that a semaphore guards: that is contention
 *   pools glib       a GThreadPool of GLib, without its headers
 *   pools drepper    a lock of 0, 1, 2 ("Futexes are tricky"), held by `holds` for 20 ms at a time
 *   pools drepper2   the same, fought for by several threads alike
 *   pools parked     a lock of bits 1 (held) and 2 (somebody waits), as parking_lot has in its words
 *   pools ticket     a lock of tickets, whose word counts; only its name tells
 *
 * A job is handed out every 50 ms. Prints "pid N", "ready"; ends at SIGTERM with "jobs N".
 */
#include <dlfcn.h>
#include <linux/futex.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NOINLINE __attribute__((noinline, noclone))
#define WORKERS  6

static atomic_uint jobs_done;

static void nap(long ns)
{
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

/* Inlined on purpose: the caller's is then the only name. */
static inline __attribute__((always_inline)) void sleep_on(atomic_uint *word, unsigned value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
	__asm__ volatile("" ::: "memory");
}

static void wake(atomic_uint *word, int n)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, n, NULL, NULL, 0);
}

/* ---- pools ---- */

static atomic_uint epoch;

NOINLINE static void *epoch_member(void *arg)
{
	for (unsigned seen = atomic_load(&epoch);; seen = atomic_load(&epoch)) {
		sleep_on(&epoch, seen);
		atomic_fetch_add(&jobs_done, 1);
	}
	return arg;
}

static void epoch_job(void)
{
	atomic_fetch_add(&epoch, 1);
	wake(&epoch, WORKERS);
}

/* Each job takes it from 2 to 3 and on to 2 + 4: the waits are all made with 2, what comes after is no lock's. */
NOINLINE static void *two_member(void *arg)
{
	for (;;) {
		if (atomic_load(&epoch) == 2)
			sleep_on(&epoch, 2);
		atomic_fetch_add(&jobs_done, 1);
		while (atomic_load(&epoch) != 2)
			nap(100000);
	}
	return arg;
}

static void two_job(void)
{
	atomic_store(&epoch, 77);
	wake(&epoch, WORKERS);
	nap(5000000);
	atomic_store(&epoch, 2);
}

static atomic_uint flags[WORKERS];

NOINLINE static void *flag_member(void *arg)
{
	atomic_uint *own = arg;
	for (;;) {
		while (!atomic_load(own))
			sleep_on(own, 0);
		atomic_store(own, 0);
		atomic_fetch_add(&jobs_done, 1);
	}
	return NULL;
}

static void flag_job(void)
{
	static unsigned next;
	atomic_uint *one = &flags[next++ % WORKERS];
	atomic_store(one, 1);
	wake(one, 1);
}

static sem_t semaphore;

NOINLINE static void *sem_member(void *arg)
{
	for (;;) {
		sem_wait(&semaphore);
		atomic_fetch_add(&jobs_done, 1);
	}
	return arg;
}

static void sem_job(void)
{
	sem_post(&semaphore);
}

NOINLINE static void *limit_member(void *arg)
{
	for (;;) {
		sem_wait(&semaphore);
		nap(5000000);
		sem_post(&semaphore);
		atomic_fetch_add(&jobs_done, 1);
	}
	return arg;
}

/* ---- locks ---- */

static atomic_uint word;

NOINLINE static void drepper_lock(void)
{
	unsigned c = 0;
	if (atomic_compare_exchange_strong(&word, &c, 1))
		return;
	if (c != 2)
		c = atomic_exchange(&word, 2);
	while (c) {
		sleep_on(&word, 2);
		c = atomic_exchange(&word, 2);
	}
}

NOINLINE static void drepper_unlock(void)
{
	if (atomic_fetch_sub(&word, 1) != 1) {
		atomic_store(&word, 0);
		wake(&word, 1);
	}
}

NOINLINE static void bits_lock(void)
{
	for (;;) {
		unsigned seen = atomic_load(&word);
		if (!(seen & 1) && atomic_compare_exchange_strong(&word, &seen, seen | 1))
			return;
		if (seen & 1 && (seen == 3 || atomic_compare_exchange_strong(&word, &seen, 3)))
			sleep_on(&word, 3);
	}
}

NOINLINE static void bits_unlock(void)
{
	if (atomic_exchange(&word, 0) == 3)
		wake(&word, WORKERS);
}

static atomic_uint tickets;

NOINLINE static void ticket_lock(void)
{
	unsigned mine = atomic_fetch_add(&tickets, 1);
	for (unsigned now; (now = atomic_load(&word)) != mine;)
		sleep_on(&word, now);
}

NOINLINE static void ticket_unlock(void)
{
	atomic_fetch_add(&word, 1);
	wake(&word, WORKERS);
}

struct lock {
	void (*take)(void), (*drop)(void);
};
static const struct lock drepper = { drepper_lock, drepper_unlock };
static const struct lock bits = { bits_lock, bits_unlock };
static const struct lock ticket = { ticket_lock, ticket_unlock };

NOINLINE static void *holds(void *arg)
{
	const struct lock *lock = arg;
	for (;;) {
		lock->take();
		nap(20000000);
		lock->drop();
		atomic_fetch_add(&jobs_done, 1);
		nap(10000000);
	}
	return NULL;
}

NOINLINE static void *wants(void *arg)
{
	const struct lock *lock = arg;
	for (;;) {
		nap(3000000);
		lock->take();
		lock->drop();
	}
	return NULL;
}

/* ---- GLib ---- */

static void glib_task(void *data, void *user)
{
	(void)data, (void)user;
	atomic_fetch_add(&jobs_done, 1);
}

static void *glib_pool;
static int (*glib_push)(void *pool, void *data, void **error);

static void glib_job(void)
{
	glib_push(glib_pool, &glib_pool, NULL);
}

static void glib_start(void)
{
	void *library = dlopen("libglib-2.0.so.0", RTLD_NOW);
	void *(*make)(void (*)(void *, void *), void *, int, int, void **);
	if (!library) {
		puts("no glib");
		exit(77);
	}
	*(void **)&make = dlsym(library, "g_thread_pool_new");
	*(void **)&glib_push = dlsym(library, "g_thread_pool_push");
	glib_pool = make(glib_task, NULL, WORKERS, 1, NULL);
}

/* ---- beside them ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

NOINLINE static void *holder(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&mutex);
		nap(20000000);
		pthread_mutex_unlock(&mutex);
		nap(10000000);
	}
	return arg;
}

NOINLINE static void *waiter(void *arg)
{
	for (;;) {
		nap(3000000);
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
	}
	return arg;
}

static void start(void *(*run)(void *), void *arg)
{
	pthread_t thread;
	pthread_create(&thread, NULL, run, arg);
	pthread_detach(thread);
}

static void no_job(void)
{
}

static const struct shape {
	const char *name;
	void *(*member)(void *);
	void (*job)(void);
	const struct lock *lock;
} shapes[] = {
	{ "epoch", epoch_member, epoch_job, NULL }, { "two", two_member, two_job, NULL },
	{ "flag", flag_member, flag_job, NULL },    { "sem", sem_member, sem_job, NULL },
	{ "limit", limit_member, no_job, NULL },    { "glib", NULL, glib_job, NULL },
	{ "drepper", NULL, no_job, &drepper },      { "drepper2", holds, no_job, &drepper },
	{ "parked", NULL, no_job, &bits },          { "ticket", holds, no_job, &ticket },
};

static const struct shape *shape_of(const char *name)
{
	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		if (strcmp(shapes[i].name, name) == 0)
			return &shapes[i];
	}
	exit(2);
}

static void start_shape(const struct shape *shape)
{
	if (strcmp(shape->name, "two") == 0)
		atomic_store(&epoch, 2);
	sem_init(&semaphore, 0, strcmp(shape->name, "limit") == 0 ? 2 : 0);
	if (strcmp(shape->name, "glib") == 0)
		glib_start();
	for (size_t i = 0; shape->member && i < WORKERS; i++)
		start(shape->member, shape->lock                    ? (void *)shape->lock
				     : shape->member == flag_member ? (void *)&flags[i]
								    : NULL);
	if (shape->lock && !shape->member) {
		start(holds, (void *)shape->lock);
		start(wants, (void *)shape->lock);
	}
}

static volatile sig_atomic_t over;

static void end(int sig)
{
	(void)sig;
	over = 1;
}

int main(int argc, char **argv)
{
	const struct shape *shape = shape_of(argc > 1 ? argv[1] : "");
	signal(SIGTERM, end);
	start_shape(shape);
	start(holder, NULL);
	start(waiter, NULL);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	for (; !over; nap(50000000))
		shape->job();
	printf("jobs %u\n", atomic_load(&jobs_done));
	fflush(stdout);
	_exit(0);
}
