/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/stop_series.h"

#include <time.h>

#include "attach/target/thread_look.h"
#include "base/clock.h"

#define MS         1000000ull
#define FIRST_NS   (2 * MS) /* between two stops */
#define PAUSE_NS   (256 * MS)
#define LOOK_NS    (5 * MS) /* longer than a thread that works on files sleeps for one of them */
#define LOOK_MAX   (40 * MS)
#define GRACE_NS   (200 * MS) /* for a moment in which no write is cut short */
#define SAME_BOUND 3u         /* stops before the bound grows */

struct one {
	struct cprof_stop_series *series;
	cprof_stop_series_work *work;
	void *ctx;
	uint64_t timeout_ns;
	struct cprof_error *err;
	bool again, in_vain, starved;
};

static void nap(uint64_t ns)
{
	const struct timespec ts = { .tv_sec = (time_t)(ns / CPROF_NS_PER_S),
				     .tv_nsec = (long)(ns % CPROF_NS_PER_S) };
	nanosleep(&ts, NULL);
}

/* On the tracer's thread. */
static bool stop_once(void *ctx)
{
	struct one *one = ctx;
	struct cprof_ptrace trace;
	const struct cprof_ptrace_options options = { .timeout_ns = one->timeout_ns };
	one->again = false;
	one->err = cprof_ptrace_stop(&trace, one->series->target->pid, &options);
	if (!one->err) {
		one->err = one->work(one->ctx, &trace, &one->again);
		cprof_ptrace_resume(&trace);
	}
	one->in_vain = trace.in_vain;
	one->starved = trace.in_vain && trace.starved;
	if (trace.told)
		cprof_stop_tally_add(one->series->tally, trace.pause_ns, trace.in_vain);
	return trace.straggler;
}

/*
 * Wait until nobody hangs in the kernel. One look that shows a thread in state D says little: whoever reads a file is in it
 * for a moment. If it has not run up to the next look it would not have stopped either.
 */
static struct cprof_error *wait_for_calm(struct cprof_stop_series *series,
					 struct cprof_thread_look *look)
{
	struct cprof_thread_look before = { 0 };
	const pid_t pid = series->target->pid;
	const uint64_t start_ns = cprof_clock_mono_ns();
	struct cprof_error *err = NULL;
	bool second = false;
	for (uint64_t nap_ns = LOOK_NS;; second = true) {
		cprof_thread_look_take(pid, look);
		pid_t stuck = cprof_thread_look_stuck(&before, look);
		if (look->frozen)
			return cprof_thread_look_frozen(pid);
		if (!look->n_blocked || (second && !stuck))
			break;
		if (stuck && cprof_clock_mono_ns() - start_ns >= series->calm_ns) {
			err = cprof_thread_look_hangs(pid, stuck);
			break;
		}
		before = *look;
		nap(nap_ns);
		if (nap_ns < LOOK_MAX)
			nap_ns *= 2;
	}
	const uint64_t spent_ns = cprof_clock_mono_ns() - start_ns;
	series->calm_ns -= spent_ns < series->calm_ns ? spent_ns : series->calm_ns;
	return err;
}

/* A write that has begun ends with what it has written. There may be a moment without one; programs that write all the time have none. */
static void wait_for_writes(pid_t pid, struct cprof_thread_look *look)
{
	const uint64_t until_ns = cprof_clock_mono_ns() + GRACE_NS;
	while (look->cut_short && cprof_clock_mono_ns() < until_ns) {
		nap(MS);
		cprof_thread_look_take(pid, look);
	}
}

static uint64_t bound(unsigned starved, size_t threads)
{
	uint64_t ns = threads * CPROF_STOP_SERIES_THREAD_NS;
	if (ns < CPROF_STOP_SERIES_NS)
		ns = CPROF_STOP_SERIES_NS;
	for (unsigned i = SAME_BOUND; i < starved && ns < CPROF_STOP_SERIES_STARVED_NS; i++)
		ns *= 2;
	return ns < CPROF_STOP_SERIES_STARVED_NS ? ns : CPROF_STOP_SERIES_STARVED_NS;
}

struct cprof_error *cprof_stop_series_run(struct cprof_stop_series *series,
					  cprof_stop_series_work *work, void *ctx)
{
	struct one one = { .series = series, .work = work, .ctx = ctx };
	uint64_t pause_ns = FIRST_NS;
	unsigned starved = 0;
	for (unsigned stop = 0; stop < series->stops_max; stop++) {
		struct cprof_thread_look look;
		cprof_error_free(one.err);
		one.err = wait_for_calm(series, &look);
		series->unstopped = one.err != NULL;
		if (one.err)
			return one.err;
		wait_for_writes(series->target->pid, &look);
		series->tally->cut_short += look.cut_short;
		series->tally->interrupted += look.interrupted;
		one.timeout_ns = bound(starved, look.n_threads);
		cprof_tracer_run(series->tracer, stop_once, &one);
		series->unstopped = one.in_vain;
		starved += one.starved;
		if (!one.in_vain && !one.again)
			return one.err;
		if (stop + 1 < series->stops_max)
			nap(pause_ns);
		if (pause_ns < PAUSE_NS)
			pause_ns *= 2;
	}
	return one.err;
}
