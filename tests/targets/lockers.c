/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that wait, each in a function of its own name, on every primitive; or that deadlock.
 *
 *     lockers all | abba | pi | pirobust | rwlock | readers | three | self | gone | lookalike | crowd N | watched N | exiting | busy N | deep |
 *             vfork | leader
 *
 * Prints "pid N", what to expect, and "ready" once every thread has announced itself and sleeps; how
 * many EINTRs were seen is printed at the end ("eintr N"), and how long `watched` did not run ("gap_us N"). Ends on SIGTERM with status 0.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "settle.h"

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone))
#endif
#define KEEP __asm__ volatile("" ::: "memory") /* no tail call: the frame stays */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive_mutex, errorcheck_mutex, adaptive_mutex, pi_mutex, robust_mutex,
	shared_mutex;
static pthread_mutex_t timed_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t locks[3] = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_MUTEX_INITIALIZER,
				    PTHREAD_MUTEX_INITIALIZER };
static pthread_rwlock_t rwlock_written = PTHREAD_RWLOCK_INITIALIZER,
			rwlock_read = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static sem_t semaphore;
static pthread_barrier_t barrier;
static pthread_t joined;
static int pipes[2], epoll_fd;
static atomic_int announced, holding, eintr, stop;
static int wanted;

static void announce(const char *name)
{
	pthread_setname_np(pthread_self(), name);
	atomic_fetch_add(&announced, 1);
}

static pthread_t start(void *(*function)(void *), void *arg)
{
	pthread_t thread;
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 * 1024);
	if (pthread_create(&thread, &attr, function, arg) != 0) {
		perror("pthread_create");
		exit(1);
	}
	wanted++;
	return thread;
}

static void make_mutex(pthread_mutex_t *at, int type, int protocol, int robust, int shared)
{
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, type);
	pthread_mutexattr_setprotocol(&attr, protocol);
	pthread_mutexattr_setrobust(&attr, robust);
	pthread_mutexattr_setpshared(&attr, shared);
	pthread_mutex_init(at, &attr);
}

static struct timespec in_an_hour(clockid_t clock)
{
	struct timespec at;
	clock_gettime(clock, &at);
	at.tv_sec += 3600;
	return at;
}

/* ---- holders ---- */

static NOINLINE void hold_everything(void)
{
	pthread_mutex_t *const all[] = { &mutex,          &recursive_mutex, &errorcheck_mutex,
					 &adaptive_mutex, &pi_mutex,        &robust_mutex,
					 &shared_mutex,   &timed_mutex };
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		pthread_mutex_lock(all[i]);
	pthread_rwlock_wrlock(&rwlock_written);
	pthread_rwlock_rdlock(&rwlock_read);
	announce("holder");
	for (;;)
		pause();
}

static void *holder(void *arg)
{
	(void)arg;
	hold_everything();
	return NULL;
}

/* ---- one waiter for each primitive: waiter_X() calls wait_for_X() which blocks ---- */

#define WAITER(name, ...)                                                                          \
	static NOINLINE void wait_for_##name(void)                                                 \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		KEEP;                                                                              \
	}                                                                                          \
	static void *waiter_##name(void *arg)                                                      \
	{                                                                                          \
		(void)arg;                                                                         \
		announce(#name);                                                                   \
		for (;;)                                                                           \
			wait_for_##name();                                                         \
		return NULL;                                                                       \
	}

WAITER(mutex, pthread_mutex_lock(&mutex))
WAITER(recursive, pthread_mutex_lock(&recursive_mutex))
WAITER(errorcheck, pthread_mutex_lock(&errorcheck_mutex))
WAITER(adaptive, pthread_mutex_lock(&adaptive_mutex))
WAITER(pi, pthread_mutex_lock(&pi_mutex))
WAITER(robust, pthread_mutex_lock(&robust_mutex))
WAITER(shared, pthread_mutex_lock(&shared_mutex))
WAITER(timed, struct timespec at = in_an_hour(CLOCK_REALTIME);
       pthread_mutex_timedlock(&timed_mutex, &at))
WAITER(rdlock, pthread_rwlock_rdlock(&rwlock_written))
WAITER(wrlock, pthread_rwlock_wrlock(&rwlock_written))
WAITER(wrlock2, pthread_rwlock_wrlock(&rwlock_read))
WAITER(cond, pthread_mutex_lock(&locks[0]); pthread_cond_wait(&never, &locks[0]);
       pthread_mutex_unlock(&locks[0]))
WAITER(condtimed, struct timespec at = in_an_hour(CLOCK_REALTIME); pthread_mutex_lock(&locks[1]);
       pthread_cond_timedwait(&never, &locks[1], &at); pthread_mutex_unlock(&locks[1]))
WAITER(sem, sem_wait(&semaphore))
WAITER(barrier, pthread_barrier_wait(&barrier))
WAITER(join, pthread_join(joined, NULL))
WAITER(sleep, struct timespec t = { .tv_sec = 3600 }; nanosleep(&t, NULL))
WAITER(read, char byte; if (read(pipes[0], &byte, 1) < 0) atomic_fetch_add(&eintr, 1))
WAITER(poll, struct pollfd fd = { .fd = pipes[0], .events = POLLIN }; poll(&fd, 1, -1))
WAITER(epoll, struct epoll_event event;
       if (epoll_wait(epoll_fd, &event, 1, -1) < 0) atomic_fetch_add(&eintr, 1))

static NOINLINE uint64_t spin(uint64_t seed)
{
	for (int i = 0; i < 100000; i++)
		seed = seed * 6364136223846793005u + 1442695040888963407u;
	return seed;
}

static NOINLINE void run_all_the_time(void)
{
	volatile uint64_t sink = 0;
	while (!atomic_load(&stop))
		sink = spin(sink);
}

static void *waiter_busy(void *arg)
{
	(void)arg;
	announce("busy");
	run_all_the_time();
	return NULL;
}

static void start_all(void)
{
	static void *(*const waiters[])(void *) = {
		waiter_mutex,     waiter_recursive, waiter_errorcheck, waiter_adaptive,
		waiter_pi,        waiter_robust,    waiter_shared,     waiter_timed,
		waiter_rdlock,    waiter_wrlock,    waiter_wrlock2,    waiter_cond,
		waiter_condtimed, waiter_sem,       waiter_barrier,    waiter_sleep,
		waiter_read,      waiter_poll,      waiter_epoll,      waiter_busy,
	};
	make_mutex(&recursive_mutex, PTHREAD_MUTEX_RECURSIVE, 0, 0, 0);
	make_mutex(&errorcheck_mutex, PTHREAD_MUTEX_ERRORCHECK, 0, 0, 0);
	make_mutex(&adaptive_mutex, PTHREAD_MUTEX_ADAPTIVE_NP, 0, 0, 0);
	make_mutex(&pi_mutex, PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, 0, 0);
	make_mutex(&robust_mutex, PTHREAD_MUTEX_NORMAL, 0, PTHREAD_MUTEX_ROBUST, 0);
	make_mutex(&shared_mutex, PTHREAD_MUTEX_NORMAL, 0, 0, PTHREAD_PROCESS_SHARED);
	joined = start(holder, NULL);
	while (atomic_load(&announced) < 1)
		sched_yield();
	for (size_t i = 0; i < sizeof(waiters) / sizeof(waiters[0]); i++)
		start(waiters[i], NULL);
	start(waiter_join, NULL);
	printf("expect holder %d\n", (int)getpid());
}

/* ---- deadlocks: thread i takes lock i, waits until all have theirs, and takes the next one ---- */

static pthread_barrier_t all_hold;
static int n_ring;

static NOINLINE void take_next(int i)
{
	pthread_mutex_lock(&locks[(i + 1) % n_ring]);
	KEEP;
}

static NOINLINE void take_mine(int i)
{
	pthread_mutex_lock(&locks[i]);
	pthread_barrier_wait(&all_hold);
	atomic_fetch_add(&holding, 1);
	take_next(i);
	KEEP;
}

static void *ring_member(void *arg)
{
	char name[16];
	snprintf(name, sizeof(name), "ring-%d", (int)(intptr_t)arg);
	announce(name);
	take_mine((int)(intptr_t)arg);
	return NULL;
}

static void start_ring(int n)
{
	n_ring = n;
	pthread_barrier_init(&all_hold, NULL, (unsigned)n);
	for (intptr_t i = 0; i < n; i++)
		start(ring_member, (void *)i);
}

static NOINLINE void lock_behind(void)
{
	pthread_mutex_lock(&locks[0]);
	KEEP;
}

static void *queued(void *arg)
{
	(void)arg;
	while (atomic_load(&holding) < n_ring)
		sched_yield();
	announce("queued");
	lock_behind();
	return NULL;
}

/* A writer waits for the mutex of a thread that waits to read. */
static NOINLINE void write_then_mutex(void)
{
	pthread_rwlock_wrlock(&rwlock_written);
	pthread_barrier_wait(&all_hold);
	pthread_mutex_lock(&mutex);
	KEEP;
}

static NOINLINE void mutex_then_read(void)
{
	pthread_mutex_lock(&mutex);
	pthread_barrier_wait(&all_hold);
	pthread_rwlock_rdlock(&rwlock_written);
	KEEP;
}

static void *rw_writer(void *arg)
{
	(void)arg;
	announce("writer");
	write_then_mutex();
	return NULL;
}

static void *rw_reader(void *arg)
{
	(void)arg;
	announce("reader");
	mutex_then_read();
	return NULL;
}

/* Two that read one each and want to write the other's: a deadlock that the words of the locks do not prove. */
static pthread_rwlock_t read_by_one[2] = { PTHREAD_RWLOCK_INITIALIZER, PTHREAD_RWLOCK_INITIALIZER };

static NOINLINE void read_then_write(int i)
{
	pthread_rwlock_rdlock(&read_by_one[i]);
	pthread_barrier_wait(&all_hold);
	pthread_rwlock_wrlock(&read_by_one[1 - i]);
	KEEP;
}

static void *rw_upgrader(void *arg)
{
	announce("upgrader");
	read_then_write((int)(intptr_t)arg);
	return NULL;
}

static NOINLINE void lock_twice(void)
{
	pthread_mutex_lock(&mutex);
	announce("twice");
	pthread_mutex_lock(&mutex);
	KEEP;
}

static void *self_locker(void *arg)
{
	(void)arg;
	lock_twice();
	return NULL;
}

/* Two that wait for each other, one of them for a quarter of an hour only. */
static void *gives_up(void *arg)
{
	int i = (int)(intptr_t)arg;
	struct timespec at = in_an_hour(CLOCK_REALTIME);
	announce(i ? "patient" : "gives-up");
	pthread_mutex_lock(&locks[i]);
	pthread_barrier_wait(&all_hold);
	if (i)
		pthread_mutex_lock(&locks[0]);
	else
		pthread_mutex_timedlock(&locks[1], &at);
	return NULL;
}

/* Two that contend for two locks all the time, in the right order: owners change, nothing hangs. */
static void *contender(void *arg)
{
	(void)arg;
	announce("contender");
	while (!atomic_load(&stop)) {
		pthread_mutex_lock(&mutex);
		pthread_mutex_lock(&timed_mutex);
		sched_yield();
		pthread_mutex_unlock(&timed_mutex);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

static void *chain_holder(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&locks[2]);
	announce("chain-holder");
	for (;;)
		pause();
	return NULL;
}

static void *chain_waiter(void *arg)
{
	(void)arg;
	while (pthread_mutex_trylock(&locks[2]) == 0) { /* the holder comes first */
		pthread_mutex_unlock(&locks[2]);
		sched_yield();
	}
	announce("chain-waiter");
	pthread_mutex_lock(&locks[2]);
	return NULL;
}

static void *dies_holding(void *arg)
{
	(void)arg;
	announce("dies");
	pthread_mutex_lock(&mutex);
	return NULL;
}

/* ---- crowds ---- */

/* system calls that are known to return EINTR to a thread that ptrace has stopped */
static NOINLINE void wait_in_a_crowd(int i)
{
	struct epoll_event event;
	struct timespec hour = { .tv_sec = 3600 };
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	long got = 0;
	switch (i % 4) {
	case 0:
		got = epoll_wait(epoll_fd, &event, 1, -1);
		break;
	case 1:
		pthread_mutex_lock(&locks[0]);
		pthread_cond_wait(&never, &locks[0]);
		pthread_mutex_unlock(&locks[0]);
		break;
	case 2:
		got = sigtimedwait(&set, NULL, &hour);
		break;
	default:
		got = clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, NULL) ? -1 : 0;
	}
	if (got < 0)
		atomic_fetch_add(&eintr, 1);
	KEEP;
}

static NOINLINE void crowd_level(int i, int depth)
{
	if (depth)
		crowd_level(i, depth - 1);
	else
		wait_in_a_crowd(i);
	KEEP;
}

static void *crowd_member(void *arg)
{
	char name[16];
	int i = (int)(intptr_t)arg;
	snprintf(name, sizeof(name), "crowd-%d", i);
	announce(name);
	for (;;)
		crowd_level(i, 4);
	return NULL;
}

/* Looks at the clock all the time: the longest gap between two looks is how long it did not run. */
static atomic_ulong longest_gap_ns;

static unsigned long clock_now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (unsigned long)now.tv_sec * 1000000000ul + (unsigned long)now.tv_nsec;
}

static void *clock_watcher(void *arg)
{
	(void)arg;
	announce("clock");
	unsigned long before = clock_now_ns();
	while (!atomic_load(&stop)) {
		unsigned long now = clock_now_ns();
		if (now - before > atomic_load(&longest_gap_ns))
			atomic_store(&longest_gap_ns, now - before);
		before = now;
	}
	return NULL;
}

static void *short_life(void *arg)
{
	(void)arg;
	usleep(500);
	return NULL;
}

static void *breeder(void *arg)
{
	(void)arg;
	announce("breeder");
	while (!atomic_load(&stop)) {
		pthread_t all[16];
		for (int i = 0; i < 16; i++)
			pthread_create(&all[i], NULL, short_life, NULL);
		for (int i = 0; i < 16; i++)
			pthread_join(all[i], NULL);
	}
	return NULL;
}

static NOINLINE int go_deep(int depth)
{
	volatile char frame[200];
	frame[0] = (char)depth;
	int got = depth ? go_deep(depth - 1) : (wait_for_sleep(), 0);
	return got + frame[0];
}

static void *deep(void *arg)
{
	(void)arg;
	announce("deep");
	go_deep(300);
	return NULL;
}

/* A child that does not go on keeps its vfork()ing parent in D state. */
static void *uninterruptible(void *arg)
{
	(void)arg;
	announce("vforker");
	if (vfork() == 0) {
		for (;;)
			syscall(SYS_pause);
	}
	return NULL;
}

static bool begin(const char *what, int n)
{
	if (strcmp(what, "all") == 0) {
		start_all();
	} else if (strcmp(what, "pi") == 0) {
		for (int i = 0; i < 3; i++)
			make_mutex(&locks[i], PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, 0, 0);
		start_ring(3);
	} else if (strcmp(what, "pirobust") == 0) {
		for (int i = 0; i < 2; i++)
			make_mutex(&locks[i], PTHREAD_MUTEX_NORMAL, PTHREAD_PRIO_INHERIT, 1, 0);
		start_ring(2);
	} else if (strcmp(what, "readers") == 0) {
		pthread_barrier_init(&all_hold, NULL, 2);
		start(rw_upgrader, (void *)0);
		start(rw_upgrader, (void *)1);
	} else if (strcmp(what, "abba") == 0) {
		start_ring(2);
		start(queued, NULL);
	} else if (strcmp(what, "three") == 0) {
		start_ring(3);
	} else if (strcmp(what, "rwlock") == 0) {
		pthread_barrier_init(&all_hold, NULL, 2);
		start(rw_writer, NULL);
		start(rw_reader, NULL);
	} else if (strcmp(what, "self") == 0) {
		start(self_locker, NULL);
	} else if (strcmp(what, "lookalike") == 0) {
		pthread_barrier_init(&all_hold, NULL, 2);
		start(gives_up, (void *)0);
		start(gives_up, (void *)1);
		start(contender, NULL);
		start(contender, NULL);
		start(chain_holder, NULL);
		start(chain_waiter, NULL);
	} else if (strcmp(what, "gone") == 0) {
		pthread_join(start(dies_holding, NULL), NULL);
		start(waiter_mutex, NULL);
	} else if (strcmp(what, "crowd") == 0) {
		for (intptr_t i = 0; i < n; i++)
			start(crowd_member, (void *)i);
	} else if (strcmp(what, "watched") == 0) {
		for (intptr_t i = 0; i < n - 2; i++) /* with the clock and main: n */
			start(crowd_member, (void *)i);
		start(clock_watcher, NULL);
	} else if (strcmp(what, "exiting") == 0) {
		start(breeder, NULL);
		start(waiter_sleep, NULL);
	} else if (strcmp(what, "busy") == 0) {
		for (int i = 0; i < n; i++)
			start(waiter_busy, NULL);
	} else if (strcmp(what, "deep") == 0) {
		start(deep, NULL);
	} else if (strcmp(what, "vfork") == 0) {
		start(uninterruptible, NULL);
		start(waiter_sleep, NULL);
	} else if (strcmp(what, "leader") == 0) {
		start(waiter_sleep, NULL);
		start(waiter_epoll, NULL);
	} else {
		return false;
	}
	return true;
}

static void on_term(int signal_no)
{
	(void)signal_no;
	char text[64];
	int n = snprintf(text, sizeof(text), "eintr %d\ngap_us %lu\n", atomic_load(&eintr),
			 atomic_load(&longest_gap_ns) / 1000);
	_exit(write(1, text, (size_t)n) == n ? 0 : 1);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "all";
	struct epoll_event event = { .events = EPOLLIN };
	sem_init(&semaphore, 0, 0);
	pthread_barrier_init(&barrier, NULL, 2);
	if (pipe(pipes) != 0 || (epoll_fd = epoll_create1(0)) < 0 ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, pipes[0], &event) != 0)
		return 1;
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGTERM, on_term);
	if (!begin(what, argc > 2 ? atoi(argv[2]) : 1))
		return 2;
	while (atomic_load(&announced) < wanted)
		usleep(1000);
	settle((const char *const[]){ "busy", "breeder", "clock", "contender", NULL });
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (strcmp(what, "leader") == 0)
		pthread_exit(NULL);
	for (;;)
		pause();
}
