/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The /proc tier: where no event may be had, read /proc/PID/task/TID/syscall every T. A wait of d is met with
 * p = min(1, d / T): that is Go's law at rate T, by nature. So the sum of delays is unbiased: each reading that meets a
 * thread asleep stands for T. How many waits those were is known for the long ones, which are met twice; for those
 * met once it is told from how often the thread was put on a CPU since it was met before (/proc/TID/schedstat).
 *
 * Nothing is opened by the kernel for us, nobody is stopped. How a stack is read of a thread that may wake at any
 * time is wait_sleeper.h's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/waits/wait_sleeper.h"
#include "attach/waits/wait_tier.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "cprof/hash.h"

#define PERIOD_NS     1000000ull /* T for few threads; 3 us of ours for each thread and reading */
#define PERIOD_MAX_NS 50000000ull
#define SHARE         20 /* at most one part in so many of our time goes into reading */
#define GAP           4  /* so many T from one look to the next are too long */
#define LIST_NS       100000000ull
#define THREADS_MAX   8192
#define ROWS_MAX      65536

struct followed {
	struct cprof_wait_sleeper sleeper; /* owns its files; as last read while it was asleep */
	bool listed;                       /* in the last list of threads */
	bool asleep;                       /* when it was last read */
	uint32_t row;                      /* of the sums, where the wait that it was in is */
	double guessed; /* how many waits that one was counted as, and for how long */
	double delay_ns;
	uint64_t counted_ns; /* when it was first met; it is counted there */
};

struct proc_tier {
	struct cprof_wait_intake *intake; /* borrowed */
	struct cprof_wait_sleepers sleepers;
	struct followed *threads; /* owned */
	size_t n, cap;
	struct cprof_map64 by_tid; /* -> index + 1; 0: gone */
	struct cprof_map64
		rows; /* hash of thread and call -> row of its last stack that was caught */
	uint64_t listed_ns, read_ns; /* when last */
	uint64_t period_ns;          /* T */
	uint64_t took_ns;            /* CPU time of reading all threads once, running mean */
	uint64_t gaps_ns;            /* of the window, in which nobody let us look */
	uint64_t unfollowed;
	int task_fd; /* owned; /proc/PID/task */
	uint64_t links;
};

/* ---- threads ---- */

static struct cprof_error *follow(struct proc_tier *tier, pid_t tid)
{
	if (!CPROF_ARRAY_ROOM(tier->threads, tier->n, tier->cap, 1))
		return cprof_error_no_memory();
	pid_t pid = tier->intake->process->target->pid;
	struct followed thread = { .listed = true };
	cprof_wait_sleeper_open(pid, tid, &thread.sleeper);
	int why = thread.sleeper.syscall_fd < 0 ? -thread.sleeper.syscall_fd : 0;
	if (why == EMFILE || why == ENFILE) {
		tier->unfollowed++;
		return NULL;
	}
	if (why == ENOENT || why == ESRCH)
		return NULL;
	if (why)
		return cprof_error_os(why, "open /proc/%d/task/%d/syscall", (int)pid, (int)tid);
	uint64_t *index = cprof_map64_put(&tier->by_tid, (uint64_t)tid, NULL);
	if (!index) {
		cprof_wait_sleeper_close(&thread.sleeper);
		return cprof_error_no_memory();
	}
	tier->threads[tier->n++] = thread;
	*index = tier->n;
	return NULL;
}

/* Close what has gone; the list and its index are made anew, so both stay as long as the process has threads. */
static struct cprof_error *drop_unlisted(struct proc_tier *tier)
{
	size_t kept = 0;
	cprof_map64_deinit(&tier->by_tid);
	for (size_t i = 0; i < tier->n; i++) {
		if (!tier->threads[i].listed) {
			cprof_wait_sleeper_close(&tier->threads[i].sleeper);
			continue;
		}
		tier->threads[kept] = tier->threads[i];
		uint64_t *index = cprof_map64_put(&tier->by_tid,
						  (uint64_t)tier->threads[kept].sleeper.tid, NULL);
		if (index)
			*index = ++kept;
		else
			cprof_wait_sleeper_close(&tier->threads[i].sleeper);
	}
	tier->n = kept;
	return NULL;
}

static struct cprof_error *list_threads(struct proc_tier *tier, uint64_t now_ns)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	tier->listed_ns = now_ns;
	struct cprof_error *err = cprof_target_threads(tier->intake->process->target, &tids, &n);
	if (err && err->code == CPROF_ERR_NO_TARGET) {
		cprof_error_free(err);
		err = NULL;
	}
	for (size_t i = 0; i < tier->n; i++)
		tier->threads[i].listed = false;
	for (size_t i = 0; !err && i < n; i++) {
		const uint64_t *index = cprof_map64_get(&tier->by_tid, (uint64_t)tids[i]);
		if (index)
			tier->threads[*index - 1].listed = true;
		else if (tier->n < THREADS_MAX)
			err = follow(tier, tids[i]);
	}
	return err ? err : drop_unlisted(tier);
}

/* ---- reading ---- */

static uint64_t hash_of(const struct cprof_wait_sleeper *sleeper)
{
	const struct cprof_thread_call *call = &sleeper->call;
	uint64_t hash = cprof_hash_mix((uint64_t)sleeper->tid, (uint64_t)call->nr);
	hash = cprof_hash_mix(cprof_hash_mix(hash, call->sp), call->pc);
	return cprof_hash_mix(cprof_hash_mix(hash, call->args[0]), call->args[1]);
}

/* What a thread's waits in one and the same call are added to, should one of them go by too fast for its stack. */
static struct cprof_error *remember(struct proc_tier *tier, const struct followed *thread)
{
	if (tier->rows.len >= ROWS_MAX)
		cprof_map64_deinit(&tier->rows);
	uint64_t *row = cprof_map64_put(&tier->rows, hash_of(&thread->sleeper), NULL);
	if (!row)
		return cprof_error_no_memory();
	*row = thread->row;
	return NULL;
}

/*
 * This reading stands for `delay_ns` of waiting, and for `count` waits. It counts also where the thread was gone before
 * its stack was read, or short waits would come out too small: by the stack of its last wait in the same call, else by
 * the innermost frame alone.
 */
static struct cprof_error *take_wait(struct proc_tier *tier, struct followed *thread, double count,
				     uint64_t step_ns)
{
	struct cprof_wait wait = cprof_wait_sleeper_wait(&thread->sleeper, tier->intake);
	struct cprof_session_stack stack;
	bool caught;
	wait.count = count;
	wait.delay_ns = (double)step_ns;
	wait.began_ns = tier->read_ns - step_ns;
	wait.woken_ns = wait.ran_ns = tier->read_ns;
	struct cprof_error *err =
		cprof_wait_sleepers_walk(&tier->sleepers, &thread->sleeper, NULL, &caught, &stack);
	if (err)
		return err;
	const uint64_t *known =
		caught ? NULL : cprof_map64_get(&tier->rows, hash_of(&thread->sleeper));
	if (known) {
		thread->row = (uint32_t)*known;
		return cprof_wait_intake_more(tier->intake, thread->row, &wait);
	}
	err = cprof_wait_intake_add(tier->intake, &wait, &stack, &thread->row);
	return err || !caught ? err : remember(tier, thread);
}

/*
 * A wait met anew is as many waits as the thread made since it was met before, at least one. If the next reading meets
 * the same one it is a long one, and the guess is taken back: it is one.
 */
static double count_waits(struct followed *thread, bool same, uint64_t runs_before)
{
	uint64_t runs = thread->sleeper.runs;
	double before = same ? thread->guessed : 0;
	thread->guessed =
		!same && runs_before && runs > runs_before ? (double)(runs - runs_before) : 1;
	return thread->guessed - before;
}

/* It is in the same sleep still: its stack is what it was. */
static struct cprof_error *go_on(struct proc_tier *tier, const struct followed *thread,
				 double count, uint64_t step_ns)
{
	const struct cprof_wait longer = {
		.delay_ns = (double)step_ns,
		.began_ns = tier->read_ns - step_ns,
		.woken_ns = tier->read_ns,
	};
	const struct cprof_wait counted = {
		.count = count,
		.began_ns = thread->counted_ns,
		.woken_ns = thread->counted_ns,
	};
	struct cprof_error *err = cprof_wait_intake_more(tier->intake, thread->row, &longer);
	return err ? err : cprof_wait_intake_more(tier->intake, thread->row, &counted);
}

static struct cprof_error *read_thread(struct proc_tier *tier, struct followed *thread,
				       uint64_t step_ns)
{
	const struct cprof_wait_sleeper last = thread->sleeper;
	const bool slept = thread->asleep;
	thread->asleep = cprof_wait_sleeper_read(&thread->sleeper);
	if (!thread->asleep) { /* the last wait and its runs are what the next one is compared with */
		thread->sleeper = last;
		return NULL;
	}
	const bool same = slept && cprof_wait_sleeper_same(&last, &thread->sleeper);
	/* Also of a wait that is out of scope, so that its runs are not put down to the next one. */
	double count = count_waits(thread, same, last.runs);
	thread->delay_ns = (double)step_ns + (same ? thread->delay_ns : 0);
	thread->counted_ns = same ? thread->counted_ns : tier->read_ns - 1;
	if (!cprof_wait_sleeper_in_scope(&thread->sleeper, tier->intake))
		return NULL;
	if (!same)
		return take_wait(tier, thread, count, step_ns);
	return go_on(tier, thread, count, step_ns);
}

/* Many threads take long to read: then that is done less often and the profile gets coarser, not the machine slower. */
static void adapt_period(struct proc_tier *tier, uint64_t took_ns)
{
	if (!tier->intake->adaptive)
		return;
	tier->took_ns = (tier->took_ns * 15 + took_ns) / 16;
	tier->period_ns = tier->took_ns * SHARE > PERIOD_NS ? tier->took_ns * SHARE : PERIOD_NS;
	if (tier->period_ns > PERIOD_MAX_NS)
		tier->period_ns = PERIOD_MAX_NS;
	tier->intake->rate_ns = tier->period_ns;
}

static struct cprof_error *drain(void *state)
{
	struct proc_tier *tier = state;
	const uint64_t clock_ns = cprof_clock_mono_ns(),
		       end_ns = cprof_wait_intake_end_ns(tier->intake);
	const uint64_t now_ns = clock_ns < end_ns ? clock_ns : end_ns; /* we may come late */
	struct cprof_error *err = NULL;
	/* The task folder has two links more than there are threads; one may still come as another goes. */
	struct stat st;
	if (fstat(tier->task_fd, &st) == 0 && (uint64_t)st.st_nlink != tier->links) {
		tier->links = st.st_nlink;
		tier->listed_ns = 0;
	}
	if (now_ns - tier->listed_ns >= LIST_NS)
		err = list_threads(tier, now_ns);
	/* Opened before the window begins, and on a busy machine long before: what was then is not counted. */
	const uint64_t begin_ns = tier->intake->run->window->start_mono_ns;
	uint64_t from_ns = tier->read_ns > begin_ns ? tier->read_ns : begin_ns;
	if (tier->intake->skip_ns > from_ns)
		from_ns = tier->intake->skip_ns;
	uint64_t step_ns = now_ns > from_ns ? now_ns - from_ns : 0;
	if (err || step_ns < tier->period_ns / 2)
		return err;
	tier->read_ns = now_ns;
	tier->intake->looks += step_ns > 0;
	if (step_ns > GAP * tier->period_ns)
		tier->gaps_ns += step_ns;
	uint64_t cpu_ns = cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID);
	for (size_t i = 0; !err && i < tier->n; i++)
		err = read_thread(tier, &tier->threads[i], step_ns);
	adapt_period(tier, cprof_clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns);
	return err;
}

static struct cprof_error *make_open(struct proc_tier *tier, const struct followed *thread)
{
	struct cprof_wait delayed = {
		.delay_ns = thread->delay_ns,
		.began_ns = tier->read_ns - (uint64_t)thread->delay_ns,
		.woken_ns = tier->read_ns,
	};
	const struct cprof_wait counted = {
		.count = thread->guessed,
		.began_ns = thread->counted_ns,
		.woken_ns = thread->counted_ns,
	};
	struct cprof_error *err = cprof_wait_intake_open(tier->intake, thread->row, &delayed);
	return err ? err : cprof_wait_intake_open(tier->intake, thread->row, &counted);
}

/* What has slept since it was last read is in the sums up to then: that part of them is an open wait. */
static struct cprof_error *mark_open(void *state)
{
	struct proc_tier *tier = state;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < tier->n; i++) {
		struct followed *thread = &tier->threads[i];
		struct cprof_wait_sleeper now = thread->sleeper;
		if (thread->asleep && cprof_wait_sleeper_in_scope(&now, tier->intake) &&
		    cprof_wait_sleeper_read(&now) &&
		    cprof_wait_sleeper_same(&thread->sleeper, &now))
			err = make_open(tier, thread);
	}
	return err;
}

/* What waits in the same call were added to is learned anew. */
static void each_row(void *state, void (*fn)(void *ctx, uint32_t *row), void *ctx)
{
	struct proc_tier *tier = state;
	cprof_map64_deinit(&tier->rows);
	for (size_t i = 0; i < tier->n; i++)
		fn(ctx, &tier->threads[i].row);
}

/* ---- opening ---- */

static void close_tier(void *state)
{
	struct proc_tier *tier = state;
	for (size_t i = 0; i < tier->n; i++)
		cprof_wait_sleeper_close(&tier->threads[i].sleeper);
	if (tier->task_fd >= 0)
		close(tier->task_fd);
	cprof_wait_sleepers_deinit(&tier->sleepers);
	free(tier->threads);
	cprof_map64_deinit(&tier->by_tid);
	cprof_map64_deinit(&tier->rows);
	free(tier);
}

static struct cprof_error *open_tier(struct cprof_wait_intake *intake, void **ret_state)
{
	struct proc_tier *tier = calloc(1, sizeof(*tier));
	if (!tier)
		return cprof_error_no_memory();
	tier->intake = intake;
	tier->period_ns = intake->adaptive ? PERIOD_NS : intake->rate_ns;
	tier->read_ns = cprof_clock_mono_ns();
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/task", (int)intake->process->target->pid);
	tier->task_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	cprof_perf_host_raise_files(2048);
	struct cprof_error *err = cprof_wait_sleepers_init(&tier->sleepers, intake);
	if (!err)
		err = list_threads(tier, tier->read_ns);
	char text[1];
	if (!err && tier->n &&
	    pread(tier->threads[0].sleeper.syscall_fd, text, sizeof(text), 0) <= 0)
		err = cprof_error_os(errno, "read /proc/%d/syscall",
				     (int)intake->process->target->pid);
	if (err && err->code == CPROF_ERR_DENIED)
		err = cprof_error_hint(err, "run as root, or allow it with sysctl "
					    "kernel.yama.ptrace_scope=0");
	if (err) {
		close_tier(tier);
		return err;
	}
	*ret_state = tier;
	return NULL;
}

static uint64_t pause_ns(const void *state)
{
	const struct proc_tier *tier = state;
	return tier->period_ns;
}

static void tell(void *state)
{
	const struct proc_tier *tier = state;
	if (tier->unfollowed)
		cprof_run_log_note(
			tier->intake->run->log, CPROF_NOTE_WARNING,
			"some threads were not looked at: out of descriptors; raise ulimit -n");
	const uint64_t window_ns =
		cprof_wait_intake_end_ns(tier->intake) - tier->intake->run->window->start_mono_ns;
	const bool many = tier->gaps_ns > window_ns / 20;
	if (tier->gaps_ns)
		cprof_run_log_note(
			tier->intake->run->log, many ? CPROF_NOTE_WARNING : CPROF_NOTE_DETAIL,
			"%.3f s of the time passed in gaps between two looks at the threads, because the machine was busy: short "
			"waits in them are not in the counts",
			(double)tier->gaps_ns / 1e9);
}

const struct cprof_wait_tier cprof_wait_tier_proc = {
	.name = "proc",
	.exactly =
		"by looking every so often; delays are unbiased, counts of waits shorter than that are guessed",
	.tells_releases = false,
	.tells_all = true,
	.thins = true,
	.drain_ns = PERIOD_NS,
	.pause_ns = pause_ns,
	.open = open_tier,
	.close = close_tier,
	.drain = drain,
	.mark_open = mark_open,
	.each_row = each_row,
	.tell = tell,
};
