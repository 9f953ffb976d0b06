/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread of our own goes from CPU to CPU and reads what time it is there; who called waits for it. A CPU that a real-time
 * program never lets go would keep it for ever: then it is called back, and that CPU's clock stays unknown.
 */
#include "attach/threads/thread_clock.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "attach/target/thread_proc.h"
#include "attach/threads/thread_observer.h"
#include "base/clock.h"

#define CPUS_MAX  8192 /* more than any kernel counts (NR_CPUS) */
#define SET_BYTES CPU_ALLOC_SIZE(CPUS_MAX)
#define LONGEST_NS                                                                                 \
	100000000ull /* a visit; a CPU that is merely busy lets us in within some 10 ms */

/* How far one CPU's clock is ahead of CLOCK_MONOTONIC; modulo 2^64. */
struct cpu_clock {
	uint64_t ahead_ns;
	bool asked;
	bool known;
};

struct visitor {
	struct cpu_clock clocks[CPUS_MAX];
	int cpus[CPUS_MAX]; /* to visit */
	size_t n;
	cpu_set_t *home; /* where it may run; SET_BYTES */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	pid_t tid;   /* under the lock from here on; 0: not yet there */
	size_t done; /* visits */
};

/* ---- the visits ---- */

/* Our own exec_start, which yielding brings up to date, is the clock of the CPU that we are on. */
static bool read_clock(int cpu, uint64_t *ret_ahead_ns)
{
	char text[4096];
	struct cprof_thread_switches self;
	sched_yield();
	const uint64_t mono_ns = cprof_clock_mono_ns();
	if (cprof_thread_read(getpid(), gettid(), "sched", text, sizeof(text)) <= 0 ||
	    !cprof_thread_sched_parse(text, &self) || !self.last_ns || sched_getcpu() != cpu)
		return false;
	*ret_ahead_ns = self.last_ns - mono_ns;
	return true;
}

static void visit(struct visitor *visitor, int cpu)
{
	struct cpu_clock *clock = &visitor->clocks[cpu];
	cpu_set_t *only = CPU_ALLOC(CPUS_MAX);
	if (!only)
		return;
	CPU_ZERO_S(SET_BYTES, only);
	CPU_SET_S((size_t)cpu, SET_BYTES, only);
	if (sched_setaffinity(0, SET_BYTES, only) == 0)
		clock->known = read_clock(cpu, &clock->ahead_ns);
	/* Home again: the lock is not to be taken, nor the thread to be ended, where somebody else may never let us. */
	(void)sched_setaffinity(0, SET_BYTES, visitor->home);
	CPU_FREE(only);
}

static void *visit_all(void *ctx)
{
	struct visitor *visitor = ctx;
	pthread_mutex_lock(&visitor->lock);
	visitor->tid = gettid();
	pthread_mutex_unlock(&visitor->lock);
	for (size_t i = 0; i < visitor->n; i++) {
		visit(visitor, visitor->cpus[i]);
		pthread_mutex_lock(&visitor->lock);
		visitor->done++;
		pthread_cond_signal(&visitor->moved);
		pthread_mutex_unlock(&visitor->lock);
	}
	return NULL;
}

/* ---- who waits for them ---- */

/* Until one more visit is over, LONGEST_NS at most. The lock is held. */
static void wait_for_one(struct visitor *visitor)
{
	const size_t before = visitor->done;
	const uint64_t until_ns = cprof_clock_mono_ns() + LONGEST_NS;
	const struct timespec until = { .tv_sec = (time_t)(until_ns / CPROF_NS_PER_S),
					.tv_nsec = (long)(until_ns % CPROF_NS_PER_S) };
	int why = 0;
	while (visitor->done == before && why == 0)
		why = pthread_cond_timedwait(&visitor->moved, &visitor->lock, &until);
	if (why && visitor->tid)
		(void)sched_setaffinity(visitor->tid, SET_BYTES, visitor->home);
}

static void send(struct visitor *visitor)
{
	pthread_t thread;
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are for who called */
	int why = pthread_create(&thread, NULL, visit_all, visitor);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (why)
		return;
	pthread_mutex_lock(&visitor->lock);
	while (visitor->done < visitor->n)
		wait_for_one(visitor);
	pthread_mutex_unlock(&visitor->lock);
	pthread_join(thread, NULL);
}

static struct visitor *visitor_new(void)
{
	struct visitor *visitor = calloc(1, sizeof(*visitor));
	cpu_set_t *home = CPU_ALLOC(CPUS_MAX);
	if (!visitor || !home || sched_getaffinity(0, SET_BYTES, home) != 0) {
		CPU_FREE(home);
		free(visitor);
		return NULL;
	}
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&visitor->moved, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&visitor->lock, NULL);
	visitor->home = home;
	return visitor;
}

static void visitor_free(struct visitor *visitor)
{
	pthread_mutex_destroy(&visitor->lock);
	pthread_cond_destroy(&visitor->moved);
	CPU_FREE(visitor->home);
	free(visitor);
}

/* ---- the threads of a snapshot ---- */

/* One that waits for a CPU is not waiting for anything else. */
static bool sleeps(const struct cprof_thread *thread)
{
	return thread->state != 'R' && thread->last_ns && thread->cpu >= 0 &&
	       thread->cpu < CPUS_MAX &&
	       (thread->means == CPROF_MEANS_ITER || thread->call.kind != CPROF_CALL_RUNNING ||
		!cprof_thread_observer_has_stack(thread->state));
}

void cprof_thread_clock_fill(struct cprof_thread_snapshot *snapshot, uint64_t mono_ns)
{
	struct visitor *visitor = visitor_new();
	if (!visitor)
		return;
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		if (!sleeps(thread) || visitor->clocks[thread->cpu].asked)
			continue;
		visitor->clocks[thread->cpu].asked = true;
		visitor->cpus[visitor->n++] = thread->cpu;
	}
	if (visitor->n)
		send(visitor);
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (!sleeps(thread) || !visitor->clocks[thread->cpu].known)
			continue;
		const struct cpu_clock *clock = &visitor->clocks[thread->cpu];
		const int64_t idle_ns = (int64_t)(mono_ns + clock->ahead_ns - thread->last_ns);
		thread->idle_ns = idle_ns > 0 ? (uint64_t)idle_ns : 0;
	}
	visitor_free(visitor);
}
