/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/stop_series.h"

#include <time.h>

#include "attach/target/stop_effect.h"
#include "attach/target/thread_look.h"
#include "attach/target/thread_progress.h"
#include "base/clock.h"

#define MS         1000000ull
#define FIRST_NS   (2 * MS) /* between two stops */
#define PAUSE_NS   (256 * MS)
#define LOOK_NS    (5 * MS) /* longer than a thread that works on files sleeps for one of them */
#define LOOK_MAX   (40 * MS)
#define GRACE_NS   (200 * MS)  /* for a moment in which no write is cut short */
#define WRITE_NS   (2000 * MS) /* in all, for the end of the one that is under way */
#define SAME_BOUND 3u          /* stops before the bound grows */

struct one {
	struct cprof_stop_series *series;
	cprof_stop_series_work *work;
	void *ctx;
	uint64_t timeout_ns;
	struct cprof_thread_look *look; /* taken before */
	uint64_t write_ns;              /* left, for the ends of writes */
	struct cprof_error *err;
	bool again, in_vain, starved;
	struct cprof_thread_progress progress; /* since a stop that is to be made again */
};

static void nap(uint64_t ns)
{
	const struct timespec ts = { .tv_sec = (time_t)(ns / CPROF_NS_PER_S),
				     .tv_nsec = (long)(ns % CPROF_NS_PER_S) };
	nanosleep(&ts, NULL);
}

/*
 * A write that has begun ends with what it has written. One that has just begun has written nothing, and the kernel makes it
 * again: so the end of the one before is waited for. Of several threads hardly all have just begun; there may be a moment without.
 */
static void wait_for_writes(pid_t pid, struct cprof_thread_look *look, uint64_t *left_ns)
{
	const uint64_t until_ns = cprof_clock_mono_ns() + GRACE_NS;
	while (look->cut_short > 1 && cprof_clock_mono_ns() < until_ns) {
		nap(MS);
		cprof_thread_look_take(pid, look);
	}
	if (look->cut_short != 1)
		return;
	const uint64_t start_ns = cprof_clock_mono_ns();
	if (cprof_thread_look_await_end(pid, look->cut_short_tid, start_ns + *left_ns))
		look->cut_short = 0;
	const uint64_t spent_ns = cprof_clock_mono_ns() - start_ns;
	*left_ns -= spent_ns < *left_ns ? spent_ns : *left_ns;
}

/* A thread of whose write we thought that it had only just begun; it ran on until it was stopped. */
static bool was_cut(const struct cprof_ptrace *trace, pid_t tid)
{
	for (size_t i = 0; i < trace->n; i++) {
		const struct user_regs_struct *regs = &trace->threads[i].regs;
		const uint64_t args[6] = { regs->rdi, regs->rsi, regs->rdx };
		if (trace->threads[i].tid == tid)
			return cprof_stop_effect_partial((int64_t)regs->orig_rax, args,
							 (int64_t)regs->rax);
	}
	return false;
}

/* On the tracer's thread, which is let run at once when a write has ended. */
static bool stop_once(void *ctx)
{
	struct one *one = ctx;
	struct cprof_ptrace trace;
	const struct cprof_ptrace_options options = { .timeout_ns = one->timeout_ns };
	one->again = false;
	wait_for_writes(one->series->target->pid, one->look, &one->write_ns);
	one->err = cprof_ptrace_stop(&trace, one->series->target->pid, &options);
	if (!one->err) {
		if (!one->look->cut_short)
			one->look->cut_short = was_cut(&trace, one->look->cut_short_tid);
		one->err = one->work(one->ctx, &trace, &one->again);
		if (one->again)
			cprof_thread_progress_begin(&one->progress, &trace);
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
	struct one one = { .series = series, .work = work, .ctx = ctx, .write_ns = WRITE_NS };
	const uint64_t until_ns = cprof_clock_mono_ns() + CPROF_STOP_SERIES_PROGRESS_NS;
	uint64_t pause_ns = FIRST_NS;
	unsigned starved = 0;
	for (unsigned stop = 0; stop < series->stops_max; stop++) {
		struct cprof_thread_look look;
		one.look = &look;
		cprof_error_free(one.err);
		one.err = wait_for_calm(series, &look);
		series->unstopped = one.err != NULL;
		if (one.err)
			return one.err;
		one.timeout_ns = bound(starved, look.n_threads);
		cprof_tracer_run(series->tracer, stop_once, &one);
		series->tally->cut_short += look.cut_short;
		series->tally->interrupted += look.interrupted;
		series->unstopped = one.in_vain;
		starved += one.starved;
		if (!one.in_vain && !one.again)
			return one.err;
		if (stop + 1 < series->stops_max)
			nap(pause_ns);
		if (stop + 1 < series->stops_max && one.again)
			cprof_thread_progress_await(&one.progress, until_ns);
		if (pause_ns < PAUSE_NS)
			pause_ns *= 2;
	}
	return one.err;
}
