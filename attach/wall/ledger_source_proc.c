/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler's statistics: /proc/PID/task/TID/schedstat tells how long a thread has been on a CPU and waited for one, to
 * the nanosecond, for everybody. Read when a thread is first seen, in between, and at the window's end; the rest of its
 * lifetime it was blocked or stopped. A thread that comes and goes between two readings is known by perf's records of
 * threads, where there are such, else not at all.
 *
 * Source of truth: Documentation/scheduler/sched-stats.rst "/proc/<pid>/schedstat".
 */
#include <stdlib.h>
#include <string.h>

#include "attach/target/thread_proc.h"
#include "attach/wall/ledger_source.h"
#include "attach/wall/stand_still.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define POLL_NS     20000000ull
#define POLL_MAX_NS 2000000000ull
#define LOOKED      32
#define SHARE       50 /* at most one part in so many of our time goes into reading */

/* What a thread was in between two looks, as far as its statistics told by then. */
struct look {
	uint64_t from_ns, to_ns;
	uint64_t ns[CPROF_LEDGER_STATES];
};

struct known {
	pid_t tid;
	char name[CPROF_COMM_MAX];
	struct cprof_thread_schedstat before, last;
	uint64_t born_ns, ended_ns; /* 0: lives */
	uint64_t mark_ns;           /* looks are settled until then; 0: nothing is yet */
	struct look looked
		[LOOKED]; /* that are not in the ledger yet: what was waited for may come late */
	size_t n_looked;
	uint64_t still_ns; /* that the process had stood still then */
	unsigned looks;    /* so far */
	bool listed;
};

struct proc_source {
	pid_t pid;
	struct known *threads; /* owned */
	size_t n, cap;
	struct cprof_map64 by_tid; /* -> index */
	uint64_t start_ns, end_ns, pause_ns;
	struct cprof_stand_still still;
};

static void read_name(pid_t pid, struct known *thread)
{
	char text[CPROF_COMM_MAX];
	if (cprof_thread_read(pid, thread->tid, "comm", text, sizeof(text)) <= 0)
		return;
	text[strcspn(text, "\n")] = '\0';
	cprof_thread_name_clean(text);
	memcpy(thread->name, text, sizeof(thread->name));
}

/* The row of a thread, new where there is none; NULL: no memory. */
static struct known *know(struct proc_source *source, pid_t tid, bool *ret_new)
{
	if (!CPROF_ARRAY_ROOM(source->threads, source->n, source->cap, 1))
		return NULL;
	uint64_t *index = cprof_map64_put(&source->by_tid, (uint64_t)tid, ret_new);
	if (!index)
		return NULL;
	if (*ret_new) {
		*index = source->n;
		source->threads[source->n++] =
			(struct known){ .tid = tid, .still_ns = source->still.ns };
	}
	return &source->threads[*index];
}

/* An end of somebody unknown is that of one who was missed at the last look already, and has been settled. */
static void tell(void *state, pid_t tid, bool born, uint64_t mono_ns)
{
	struct proc_source *source = state;
	bool is_new = false;
	if (!source->start_ns || mono_ns < source->start_ns ||
	    (!born && !cprof_map64_get(&source->by_tid, (uint64_t)tid)))
		return;
	struct known *thread = know(source, tid, &is_new);
	if (!thread)
		return;
	if (!born)
		thread->ended_ns = mono_ns;
	else if (is_new || mono_ns < thread->born_ns)
		thread->born_ns = mono_ns;
}

/* In an exec another thread takes over the process's id, with its own statistics: what its predecessor had stays the difference. */
static void carry_on(struct known *thread, const struct cprof_thread_schedstat *now)
{
	thread->before.ran_ns += now->ran_ns - thread->last.ran_ns;
	thread->before.queued_ns += now->queued_ns - thread->last.queued_ns;
	thread->before.runs += now->runs - thread->last.runs;
}

/* What a thread did before the window does not count; one that is born in it starts at nothing. */
static struct cprof_error *look(struct proc_source *source, pid_t tid, uint64_t now_ns, bool first)
{
	bool is_new;
	struct known *thread = know(source, tid, &is_new);
	if (!thread)
		return cprof_error_no_memory();
	thread->listed = true;
	if (is_new)
		thread->born_ns = first ? source->start_ns : now_ns;
	struct cprof_thread_schedstat now;
	if (!cprof_thread_schedstat_read(source->pid, tid, &now))
		return NULL;
	if (now.ran_ns < thread->last.ran_ns || now.runs < thread->last.runs)
		carry_on(thread, &now);
	thread->last = now;
	/* A new thread takes its name a moment later: it is read again after one look, two, four... */
	if (!(thread->looks & (thread->looks - 1)))
		read_name(source->pid, thread);
	thread->looks++;
	if (first)
		thread->before = now;
	return NULL;
}

static uint64_t min_of(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Of a thread that is known by looks or all at once. */
static struct cprof_error *put(struct cprof_ledger *ledger, const struct known *thread,
			       const struct look *look)
{
	struct cprof_ledger_account account = {
		.tid = thread->tid,
		.threads = cprof_ledger_find(ledger, thread->tid) == SIZE_MAX || !thread->mark_ns,
		.runs = thread->last.runs - thread->before.runs,
		.ended = thread->ended_ns != 0,
	};
	memcpy(account.name, thread->name, sizeof(account.name));
	memcpy(account.ns, look->ns, sizeof(account.ns));
	struct cprof_error *err = cprof_ledger_add(ledger, &account);
	return err ? err
		   : cprof_ledger_when(ledger, thread->tid, look->from_ns, look->to_ns, look->ns);
}

static struct cprof_error *put_oldest(struct cprof_ledger *ledger, struct known *thread)
{
	struct cprof_error *err = put(ledger, thread, &thread->looked[0]);
	thread->n_looked--;
	memmove(thread->looked, thread->looked + 1, thread->n_looked * sizeof(*thread->looked));
	return err;
}

/*
 * A wait for a CPU is in the statistics when it is over, as a whole, and time on one with the next tick: what is more than there was since
 * the last look was taken for sleep in those before.
 */
static void make_up(struct known *thread, size_t state, uint64_t ns)
{
	for (size_t i = thread->n_looked; i-- > 0 && ns;) {
		uint64_t *slept = &thread->looked[i].ns[CPROF_LEDGER_BLOCKED];
		const uint64_t some = min_of(ns, *slept);
		*slept -= some;
		thread->looked[i].ns[state] += some;
		ns -= some;
	}
}

/* What it was in since its mark. */
static struct look since_mark(const struct proc_source *source, struct known *thread,
			      uint64_t until_ns)
{
	struct look look = { .from_ns = thread->mark_ns ? thread->mark_ns : thread->born_ns,
			     .to_ns = until_ns };
	uint64_t left = until_ns > look.from_ns ? until_ns - look.from_ns : 0;
	const uint64_t parts[CPROF_LEDGER_STATES] = {
		[CPROF_LEDGER_ON_CPU] = thread->last.ran_ns - thread->before.ran_ns,
		[CPROF_LEDGER_PREEMPTED] = thread->last.queued_ns - thread->before.queued_ns,
		[CPROF_LEDGER_STOPPED] = source->still.ns - thread->still_ns,
	};
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++) {
		look.ns[i] = min_of(parts[i], left);
		left -= look.ns[i];
		make_up(thread, i, parts[i] - look.ns[i]);
	}
	look.ns[CPROF_LEDGER_BLOCKED] = left;
	return look;
}

/* All that is left of it. */
static struct cprof_error *settle(const struct proc_source *source, struct known *thread,
				  uint64_t end_ns, struct cprof_ledger *ledger)
{
	const struct look last = since_mark(
		source, thread, thread->ended_ns ? min_of(thread->ended_ns, end_ns) : end_ns);
	struct cprof_error *err = NULL;
	while (!err && thread->n_looked)
		err = put_oldest(ledger, thread);
	return err || last.to_ns <= last.from_ns ? err : put(ledger, thread, &last);
}

/* What there is of those that are short-lived no more: from now on they begin anew. */
static struct cprof_error *settle_so_far(struct proc_source *source, uint64_t now_ns,
					 struct cprof_ledger *ledger)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < source->n; i++) {
		struct known *thread = &source->threads[i];
		const uint64_t until_ns = min_of(now_ns, source->end_ns);
		if (until_ns < thread->born_ns + CPROF_LEDGER_SHORT_NS ||
		    until_ns <= thread->mark_ns)
			continue;
		if (thread->n_looked == LOOKED)
			err = put_oldest(ledger, thread);
		const struct look look = since_mark(source, thread, until_ns);
		thread->looked[thread->n_looked++] = look;
		thread->mark_ns = until_ns;
		thread->before = thread->last;
		thread->still_ns = source->still.ns;
	}
	return err;
}

/* Those that have ended go to the ledger; the list and its index are made anew. */
static struct cprof_error *drop_unlisted(struct proc_source *source, uint64_t now_ns,
					 struct cprof_ledger *ledger)
{
	size_t kept = 0;
	struct cprof_error *err = NULL;
	cprof_map64_deinit(&source->by_tid);
	for (size_t i = 0; !err && i < source->n; i++) {
		struct known thread = source->threads[i];
		if (!thread.listed || thread.ended_ns) {
			thread.ended_ns = thread.ended_ns ? thread.ended_ns : now_ns;
			err = settle(source, &thread, source->end_ns, ledger);
			continue;
		}
		uint64_t *index = cprof_map64_put(&source->by_tid, (uint64_t)thread.tid, NULL);
		if (!index)
			return cprof_error_no_memory();
		*index = kept;
		source->threads[kept++] = thread;
	}
	source->n = kept;
	return err;
}

static struct cprof_error *look_at_all(struct proc_source *source, bool first,
				       struct cprof_ledger *ledger)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	const uint64_t cpu_ns = cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	const uint64_t now_ns = cprof_clock_mono_ns();
	for (size_t i = 0; i < source->n; i++)
		source->threads[i].listed = false;
	cprof_error_free(cprof_thread_list(source->pid, &tids, &n)); /* none: it has ended */
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n; i++)
		err = look(source, tids[i], now_ns, first);
	if (!err && ledger)
		err = drop_unlisted(source, now_ns, ledger);
	if (!err && ledger && ledger->timed)
		err = settle_so_far(source, now_ns, ledger);
	const uint64_t pause_ns = (cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns) * SHARE;
	source->pause_ns = pause_ns < POLL_NS ? POLL_NS : min_of(pause_ns, POLL_MAX_NS);
	return err;
}

static struct cprof_error *open_source(const struct cprof_run *run, bool timed, void **ret_state)
{
	struct cprof_thread_schedstat now;
	(void)timed; /* it is told at each look */
	const pid_t pid = run->targets[0]->pid;
	if (!cprof_thread_schedstat_read(pid, pid, &now))
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "/proc/%d/schedstat does not tell: the kernel keeps no "
				       "statistics of its scheduler",
				       (int)pid);
	struct proc_source *source = calloc(1, sizeof(*source));
	if (!source)
		return cprof_error_no_memory();
	source->pid = source->still.pid = pid;
	source->end_ns = UINT64_MAX;
	source->pause_ns = POLL_NS;
	*ret_state = source;
	return NULL;
}

static void close_source(void *state)
{
	struct proc_source *source = state;
	if (!source)
		return;
	free(source->threads);
	cprof_map64_deinit(&source->by_tid);
	free(source);
}

static void start(void *state, uint64_t start_ns, uint64_t end_ns, uint64_t step_ns)
{
	struct proc_source *source = state;
	(void)step_ns;
	source->start_ns = start_ns;
	source->end_ns = end_ns;
	cprof_error_free(
		look_at_all(source, true, NULL)); /* out of memory: the next look says so */
	cprof_stand_still_look(&source->still, start_ns);
}

static uint64_t stop(void *state, uint64_t end_ns)
{
	struct proc_source *source = state;
	return source->end_ns = end_ns;
}

static struct cprof_error *poll_source(void *state, struct cprof_ledger *ledger)
{
	struct proc_source *source = state;
	cprof_stand_still_look(&source->still, cprof_clock_mono_ns());
	struct cprof_error *err = look_at_all(source, false, ledger);
	return err || !ledger->timed ? err
				     : cprof_time_spans_widen(&ledger->times, source->pause_ns);
}

static struct cprof_error *finish(void *state, struct cprof_ledger *ledger)
{
	struct proc_source *source = state;
	source->end_ns = min_of(source->end_ns, cprof_clock_mono_ns());
	cprof_stand_still_look(&source->still, source->end_ns);
	struct cprof_error *err = look_at_all(source, false, ledger);
	for (size_t i = 0; !err && i < source->n; i++)
		err = settle(source, &source->threads[i], source->end_ns, ledger);
	return err;
}

static bool stands_still(void *state, uint64_t mono_ns)
{
	struct proc_source *source = state;
	return cprof_stand_still_look(&source->still, mono_ns);
}

static uint64_t pause_ns(const void *state)
{
	const struct proc_source *source = state;
	return source->pause_ns;
}

const struct cprof_ledger_source cprof_ledger_source_proc = {
	.name = "proc",
	.open = open_source,
	.close = close_source,
	.start = start,
	.stop = stop,
	.poll = poll_source,
	.pause_ns = pause_ns,
	.stands_still = stands_still,
	.tell = tell,
	.finish = finish,
};
