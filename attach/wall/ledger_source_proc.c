/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler's statistics: /proc/PID/task/TID/schedstat tells how long a thread has been on a CPU and waited for one, to
 * the nanosecond, for everybody. Read when a thread is first seen, in between, and at the window's end; the rest of its
 * lifetime it was blocked or stopped. A thread that comes and goes between two readings is known by perf's records of
 * threads, where there are such, else not at all.
 *
 * Source of truth: Documentation/scheduler/sched-stats.rst "/proc/<pid>/schedstat".
 */
#include <stdio.h>
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
#define SHARE       50 /* at most one part in so many of our time goes into reading */

struct stat_now {
	unsigned long long ran_ns, queued_ns, runs;
};

struct known {
	pid_t tid;
	char name[CPROF_COMM_MAX];
	struct stat_now before, last;
	uint64_t born_ns, ended_ns; /* 0: lives */
	uint64_t still_ns;          /* that the process had stood still when it was born */
	unsigned looks;             /* so far */
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

static bool read_stat(pid_t pid, pid_t tid, struct stat_now *ret)
{
	char text[128];
	return cprof_thread_read(pid, tid, "schedstat", text, sizeof(text)) > 0 &&
	       sscanf(text, "%llu %llu %llu", &ret->ran_ns, &ret->queued_ns, &ret->runs) == 3;
}

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
static void carry_on(struct known *thread, const struct stat_now *now)
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
	struct stat_now now;
	if (!read_stat(source->pid, tid, &now))
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

static struct cprof_error *settle(const struct proc_source *source, const struct known *thread,
				  uint64_t end_ns, struct cprof_ledger *ledger)
{
	const uint64_t until_ns = thread->ended_ns ? min_of(thread->ended_ns, end_ns) : end_ns;
	uint64_t left = until_ns > thread->born_ns ? until_ns - thread->born_ns : 0;
	struct cprof_ledger_account account = {
		.tid = thread->tid,
		.threads = 1,
		.runs = thread->last.runs - thread->before.runs,
		.ended = thread->ended_ns != 0,
	};
	if (!left)
		return NULL;
	memcpy(account.name, thread->name, sizeof(account.name));
	const uint64_t parts[CPROF_LEDGER_STATES] = {
		[CPROF_LEDGER_ON_CPU] = thread->last.ran_ns - thread->before.ran_ns,
		[CPROF_LEDGER_PREEMPTED] = thread->last.queued_ns - thread->before.queued_ns,
		[CPROF_LEDGER_STOPPED] = source->still.ns - thread->still_ns,
	};
	for (size_t i = 0; i < CPROF_LEDGER_STATES; i++) {
		account.ns[i] = min_of(parts[i], left);
		left -= account.ns[i];
	}
	account.ns[CPROF_LEDGER_BLOCKED] = left;
	return cprof_ledger_add(ledger, &account);
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
	const uint64_t pause_ns = (cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns) * SHARE;
	source->pause_ns = pause_ns < POLL_NS ? POLL_NS : min_of(pause_ns, POLL_MAX_NS);
	return err;
}

static struct cprof_error *open_source(const struct cprof_run *run, void **ret_state)
{
	struct stat_now now;
	const pid_t pid = run->targets[0]->pid;
	if (!read_stat(pid, pid, &now))
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

static void start(void *state, uint64_t start_ns, uint64_t end_ns)
{
	struct proc_source *source = state;
	source->start_ns = start_ns;
	source->end_ns = end_ns;
	cprof_error_free(
		look_at_all(source, true, NULL)); /* out of memory: the next look says so */
	cprof_stand_still_look(&source->still, start_ns);
}

static void stop(void *state, uint64_t end_ns)
{
	struct proc_source *source = state;
	source->end_ns = end_ns;
}

static struct cprof_error *poll_source(void *state, struct cprof_ledger *ledger)
{
	struct proc_source *source = state;
	cprof_stand_still_look(&source->still, cprof_clock_mono_ns());
	return look_at_all(source, false, ledger);
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
