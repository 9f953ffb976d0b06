/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wall - threads whose time is known: each measures itself where its time goes, and says so at the end.
 *
 * Usage: wall MILLISECONDS [short|quick]. Threads: "mixed" works, sleeps, waits for a lock, reads from a pipe and polls by turns;
 * "pinned-a" and "pinned-b" work on one and the same CPU, so that each waits for it half of the time; "idle" ones wait for
 * a condition that never comes. With "short" 200 more live for a moment each, one after the other; with "quick" each wait is of 60 us instead of 3 ms. At its end (after
 * MILLISECONDS; 0: at SIGTERM) it prints a line a thread,
 *     truth NAME tid T least_ns L most_ns M cpu_ns C queue_ns Q [sleep_ns S lock_ns L read_ns R poll_ns P]
 * least and most bound the lifetime: from its own first to its last moment, and from before its creation until it was joined. cpu is its
 * own CLOCK_THREAD_CPUTIME_ID, queue what /proc/thread-self/schedstat tells, and each wait is the time around the call
 * without what that says of it. All of that is right on a busy machine as well.
 */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
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

#define N_IDLE    3
#define N_SHORT   200
#define N_THREADS 4

enum { SLEEP, LOCK, READ, POLL, N_WAITS };

struct now {
	uint64_t mono_ns, cpu_ns, queue_ns;
};

struct thread {
	const char *name;
	void (*work)(struct thread *);
	pthread_t handle;
	pid_t tid;
	uint64_t before_ns, joined_ns;
	struct now begin, end;
	uint64_t off_ns[N_WAITS];
};

static uint64_t turn_ns = 3000000;
static atomic_bool stop;
static atomic_int begun;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER, idle_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;
static int pipe_fds[2], quiet_fds[2];
static pthread_barrier_t held, turn_over;

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* The second number is how long this thread has waited for a CPU; the file is the thread's that opened it. */
static uint64_t queue_ns(void)
{
	static _Thread_local int fd = -1;
	char text[128];
	unsigned long long ran, queued = 0;
	if (fd < 0)
		fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	const ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = 0;
	if (sscanf(text, "%llu %llu", &ran, &queued) != 2) {
		fprintf(stderr, "no schedstat\n");
		exit(1);
	}
	return queued;
}

/* All three of one moment: as long as it was put off its CPU meanwhile it looks anew. */
static struct now look(void)
{
	struct now now;
	do {
		now.queue_ns = queue_ns();
		now.mono_ns = clock_ns(CLOCK_MONOTONIC);
		now.cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
	} while (queue_ns() != now.queue_ns);
	return now;
}

static void nap(uint64_t ns)
{
	struct timespec time = { 0, (long)ns };
	clock_nanosleep(CLOCK_MONOTONIC, 0, &time, NULL);
}

static __attribute__((noinline)) void busy(uint64_t ns)
{
	const uint64_t end = clock_ns(CLOCK_THREAD_CPUTIME_ID) + ns;
	while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		;
}

/* What has passed since `from` and was neither on a CPU nor in the queue. */
static uint64_t off_since(const struct now *from)
{
	const struct now now = look();
	return now.mono_ns - from->mono_ns - (now.cpu_ns - from->cpu_ns) -
	       (now.queue_ns - from->queue_ns);
}

static void wait_once(struct thread *self, int what)
{
	char byte;
	struct pollfd quiet = { .fd = quiet_fds[0], .events = POLLIN };
	const struct now from = look();
	if (what == SLEEP)
		nap(turn_ns);
	else if (what == LOCK)
		pthread_mutex_lock(&lock);
	else if (what == READ && read(pipe_fds[0], &byte, 1) != 1)
		exit(1);
	else if (what == POLL)
		ppoll(&quiet, 1, &(struct timespec){ .tv_nsec = (long)turn_ns }, NULL);
	self->off_ns[what] += off_since(&from);
	if (what == LOCK)
		pthread_mutex_unlock(&lock);
}

/* The helper holds the lock when the lock's turn comes, and writes when it is the pipe's. */
static void mixed(struct thread *self)
{
	while (!atomic_load(&stop)) {
		busy(turn_ns);
		wait_once(self, SLEEP);
		pthread_barrier_wait(&held);
		wait_once(self, LOCK);
		wait_once(self, READ);
		wait_once(self, POLL);
		pthread_barrier_wait(&turn_over);
	}
}

static atomic_bool helper_stops;
static void *help(void *arg)
{
	for (;;) {
		pthread_mutex_lock(&lock);
		pthread_barrier_wait(&held);
		if (atomic_load(&helper_stops))
			break;
		nap(turn_ns);
		pthread_mutex_unlock(&lock);
		nap(turn_ns);
		if (write(pipe_fds[1], "", 1) != 1)
			exit(1);
		pthread_barrier_wait(&turn_over);
	}
	pthread_mutex_unlock(&lock);
	return arg;
}

static void pinned(struct thread *self)
{
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one),
			  &one); /* refused where CPU 0 is not ours: then there is no queue */
	(void)self;
	while (!atomic_load(&stop))
		busy(turn_ns);
}

/* Its own first and last moment are where it measures; what lies outside, in the kernel, only others see. */
static void *run(void *arg)
{
	struct thread *self = arg;
	pthread_setname_np(pthread_self(), self->name);
	self->tid = (pid_t)syscall(SYS_gettid);
	self->begin = look();
	atomic_fetch_add(&begun, 1);
	self->work(self);
	self->end = look();
	return NULL;
}

static void *wait_for_nothing(void *arg)
{
	pthread_setname_np(pthread_self(), "idle");
	pthread_mutex_lock(&idle_lock);
	for (;;)
		pthread_cond_wait(&never, &idle_lock);
	return arg;
}

static void *be_short(void *arg)
{
	pthread_setname_np(pthread_self(), "short");
	busy(500000);
	nap(500000);
	return arg;
}

static void tell(const struct thread *thread)
{
	static const char *const names[N_WAITS] = { "sleep_ns", "lock_ns", "read_ns", "poll_ns" };
	printf("truth %s tid %d least_ns %llu most_ns %llu cpu_ns %llu queue_ns %llu", thread->name,
	       (int)thread->tid, (unsigned long long)(thread->end.mono_ns - thread->begin.mono_ns),
	       (unsigned long long)(thread->joined_ns - thread->before_ns),
	       (unsigned long long)thread->end.cpu_ns, (unsigned long long)thread->end.queue_ns);
	for (int i = 0; i < N_WAITS; i++)
		printf(" %s %llu", names[i], (unsigned long long)thread->off_ns[i]);
	printf("\n");
}

static void live_short(void)
{
	uint64_t life_ns = 0;
	for (int i = 0; i < N_SHORT; i++) {
		pthread_t handle;
		const uint64_t before_ns = clock_ns(CLOCK_MONOTONIC);
		if (pthread_create(&handle, NULL, be_short, NULL))
			exit(1);
		pthread_join(handle, NULL);
		life_ns += clock_ns(CLOCK_MONOTONIC) - before_ns;
	}
	printf("truth short threads %d most_ns %llu\n", N_SHORT, (unsigned long long)life_ns);
}

static void begin(struct thread *threads, pthread_t *helper)
{
	pthread_barrier_init(&held, NULL, 2);
	pthread_barrier_init(&turn_over, NULL, 2);
	if (pipe(pipe_fds) || pipe(quiet_fds) || pthread_create(helper, NULL, help, NULL))
		exit(1);
	for (int i = 0; i < N_IDLE; i++) {
		pthread_t idle;
		if (pthread_create(&idle, NULL, wait_for_nothing, NULL))
			exit(1);
		pthread_detach(idle);
	}
	for (int i = 0; threads[i].name; i++) {
		threads[i].before_ns = clock_ns(CLOCK_MONOTONIC);
		if (pthread_create(&threads[i].handle, NULL, run, &threads[i]))
			exit(1);
	}
	while (atomic_load(&begun) < N_THREADS - 1)
		nap(turn_ns);
}

int main(int argc, char **argv)
{
	struct thread threads[N_THREADS] = {
		{ .name = "mixed", .work = mixed },
		{ .name = "pinned-a", .work = pinned },
		{ .name = "pinned-b", .work = pinned },
	};
	const long ms = argc > 1 ? atol(argv[1]) : 0;
	sigset_t ends;
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	if (argc > 2 && strcmp(argv[2], "quick") == 0)
		turn_ns = 60000;
	pthread_t helper;
	begin(threads, &helper);
	printf("pid %d\nready\n", (int)getpid());
	fflush(stdout);
	if (argc > 2 && strcmp(argv[2], "short") == 0)
		live_short();
	const struct timespec length = { ms / 1000, ms % 1000 * 1000000 };
	int which;
	if (ms)
		sigtimedwait(&ends, NULL, &length);
	else
		sigwait(&ends, &which);
	atomic_store(&stop, true);
	for (int i = 0; threads[i].name; i++) {
		pthread_join(threads[i].handle, NULL);
		threads[i].joined_ns = clock_ns(CLOCK_MONOTONIC);
		tell(&threads[i]);
	}
	atomic_store(&helper_stops, true);
	pthread_barrier_wait(&held);
	pthread_join(helper, NULL);
	return 0;
}
