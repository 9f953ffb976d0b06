/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_edges.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include "attach/target/thread_proc.h"
#include "attach/target/thread_regs.h"
#include "attach/threads/thread_iter.h"
#include "attach/waits/wait_sleeper.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define CALL_TEXT_MAX 256

/* ---- by the task iterator ---- */

/* All threads at one moment, in whatever order; none where the iterator is not permitted or not wanted. */
struct rows {
	struct cprof_thread_iter_row *rows; /* owned */
	size_t n;
};

/* Who asks for perf or proc gets no BPF program of ours. */
static void read_rows(const struct cprof_wait_intake *intake, struct rows *ret)
{
	struct cprof_thread_iter *iter = NULL;
	const char *method = intake->request->method;
	*ret = (struct rows){ 0 };
	if (strcmp(method, "auto") != 0 && strcmp(method, "bpf") != 0)
		return;
	struct cprof_error *err = cprof_thread_iter_open(intake->process->target->pid,
							 intake->run->naming.cache_dir, &iter);
	if (!err)
		err = cprof_thread_iter_read(iter, &ret->rows, &ret->n);
	cprof_error_free(err); /* then /proc has to do */
	cprof_thread_iter_close(iter);
}

static const struct cprof_thread_iter_row *find_row(const struct rows *rows, pid_t tid)
{
	for (size_t i = 0; i < rows->n; i++) {
		if (rows->rows[i].tid == (uint32_t)tid)
			return &rows->rows[i];
	}
	return NULL;
}

static bool row_call(const struct cprof_thread_iter_row *row, struct cprof_thread_call *ret)
{
	const char state = row ? cprof_thread_iter_state(row) : 'X';
	if (state != 'S' && state != 'D')
		return false;
	cprof_thread_regs_call(row->regs, ret);
	return true;
}

/* ---- at the start ---- */

static bool is_refused(int why)
{
	return why == -EACCES || why == -EPERM;
}

static int read_call(const struct cprof_wait_intake *intake, pid_t tid,
		     struct cprof_thread_call *ret)
{
	char text[CALL_TEXT_MAX];
	int n = cprof_thread_read(intake->process->target->pid, tid, "syscall", text, sizeof(text));
	return n < 0 ? n : n > 0 && cprof_thread_call_parse(text, ret);
}

/* Of futex_waitv the word that it waits for is not among its arguments. */
static bool is_sleeper(const struct cprof_wait_intake *intake, const struct cprof_thread_call *call,
		       pid_t tid, struct cprof_wait_edges_sleeper *ret)
{
	const int32_t nr = (int32_t)call->nr;
	if (call->kind != CPROF_CALL_BLOCKED ||
	    (nr != SYS_futex && (cprof_wait_is_futex(nr) || !intake->request->all)))
		return false;
	*ret = (struct cprof_wait_edges_sleeper){
		.tid = tid,
		.now_ns = cprof_clock_mono_ns(),
		.nr = nr,
		.addr = call->args[0],
		.op = (uint32_t)call->args[1],
		.val = (uint32_t)call->args[2],
	};
	return true;
}

static void show_row(const struct cprof_wait_intake *intake, const struct rows *rows, pid_t tid,
		     cprof_wait_edges_fn *fn, void *ctx)
{
	const struct cprof_thread_iter_row *row = find_row(rows, tid);
	struct cprof_wait_edges_sleeper sleeper;
	struct cprof_thread_call call;
	if (!row_call(row, &call) || !is_sleeper(intake, &call, tid, &sleeper))
		return;
	sleeper.switches = row->voluntary + row->involuntary;
	fn(ctx, &sleeper);
}

void cprof_wait_edges_before(struct cprof_wait_intake *intake, cprof_wait_edges_fn *fn, void *ctx)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	struct rows rows = { 0 };
	bool asked = false;
	size_t n = 0;
	struct cprof_error *err = cprof_thread_list(intake->process->target->pid, &tids, &n);
	cprof_error_free(err); /* it has ended already: the window will see that */
	for (size_t i = 0; i < n; i++) {
		struct cprof_wait_edges_sleeper sleeper;
		struct cprof_thread_call call;
		int got = read_call(intake, tids[i], &call);
		if (got > 0 && is_sleeper(intake, &call, tids[i], &sleeper))
			fn(ctx, &sleeper);
		if (!is_refused(got))
			continue;
		if (!asked)
			read_rows(intake, &rows);
		asked = true;
		show_row(intake, &rows, tids[i], fn, ctx);
	}
	free(rows.rows);
}

bool cprof_wait_edges_still(const struct cprof_wait_intake *intake,
			    const struct cprof_wait_edges_sleeper *sleeper)
{
	struct cprof_wait_edges_sleeper now;
	struct cprof_thread_call call;
	if (sleeper->switches)
		return cprof_wait_sleeper_has_switched(intake->process->target->pid, sleeper->tid,
						       sleeper->switches);
	return read_call(intake, sleeper->tid, &call) > 0 &&
	       is_sleeper(intake, &call, sleeper->tid, &now) && now.nr == sleeper->nr &&
	       now.addr == sleeper->addr && now.op == sleeper->op && now.val == sleeper->val;
}

/* ---- at the end ---- */

static struct cprof_error *take_wait(struct cprof_wait_sleepers *sleepers,
				     const struct cprof_wait_sleeper *sleeper, uint64_t now_ns,
				     uint64_t since_ns, const struct cprof_regs *regs)
{
	struct cprof_wait_intake *intake = sleepers->intake;
	struct cprof_wait wait = cprof_wait_sleeper_wait(sleeper, intake);
	wait.open = true;
	wait.count = 1;
	wait.delay_ns = now_ns > since_ns ? (double)(now_ns - since_ns) : 1;
	wait.began_ns = since_ns;
	wait.woken_ns = wait.ran_ns = now_ns;
	struct cprof_session_stack stack;
	bool caught;
	struct cprof_error *err =
		cprof_wait_sleepers_walk(sleepers, sleeper, regs, &caught, &stack);
	return err ? err : cprof_wait_intake_add(intake, &wait, &stack, NULL);
}

/* What take_thread() goes by. */
struct open_waits {
	struct cprof_wait_sleepers sleepers;
	const struct cprof_wait_tier *tier; /* borrowed */
	void *state;                        /* the tier's */
	struct rows rows;
	size_t n_refused; /* threads of which nobody tells whether they sleep */
};

/* All its registers, where the iterator tells them; false if it is not in the wait that `call` shows any more. */
static bool find_regs(const struct open_waits *open, pid_t tid,
		      const struct cprof_thread_call *call, struct cprof_regs *ret_regs,
		      bool *ret_known)
{
	const struct cprof_thread_iter_row *row = find_row(&open->rows, tid);
	struct cprof_thread_call seen;
	*ret_known = row != NULL;
	if (!row)
		return true;
	cprof_thread_regs_call(row->regs, &seen);
	if (seen.sp != call->sp || seen.pc != call->pc)
		return false;
	cprof_thread_regs_from_kernel(row->regs, ret_regs);
	return true;
}

/* The sleep that thread `tid` is in; false: it is in none. To be closed either way. */
static bool find_sleeper(struct open_waits *open, pid_t tid, struct cprof_wait_sleeper *ret)
{
	const pid_t pid = open->sleepers.intake->process->target->pid;
	struct cprof_thread_call call;
	cprof_wait_sleeper_open(pid, tid, ret);
	if (!is_refused(ret->syscall_fd))
		return ret->syscall_fd >= 0 && cprof_wait_sleeper_read(ret);
	const struct cprof_thread_iter_row *row = find_row(&open->rows, tid);
	open->n_refused += !row;
	return row_call(row, &call) &&
	       cprof_wait_sleeper_open_told(pid, tid, &call, row->voluntary + row->involuntary,
					    ret);
}

static struct cprof_error *take_thread(struct open_waits *open, pid_t tid)
{
	struct cprof_wait_intake *intake = open->sleepers.intake;
	const uint64_t end_ns = cprof_wait_intake_end_ns(intake);
	uint64_t since = intake->run->window->start_mono_ns, seen;
	struct cprof_regs regs;
	bool all_known = false;
	struct cprof_wait_sleeper sleeper;
	bool sleeps = find_sleeper(open, tid, &sleeper) &&
		      cprof_wait_sleeper_in_scope(&sleeper, intake) &&
		      find_regs(open, tid, &sleeper.call, &regs, &all_known);
	if (sleeps && open->tier->since && open->tier->since(open->state, (uint32_t)tid, &seen) &&
	    seen > since)
		since = seen;
	struct cprof_error *err = NULL;
	if (sleeps && since < end_ns)
		err = take_wait(&open->sleepers, &sleeper, end_ns, since, all_known ? &regs : NULL);
	cprof_wait_sleeper_close(&sleeper);
	return err;
}

/* A process that hangs is nothing but waits that are not over, so an empty profile would say the opposite. */
static void tell_refused(const struct cprof_wait_intake *intake, size_t n_refused)
{
	const int pid = (int)intake->process->target->pid;
	if (n_refused)
		cprof_run_log_note(
			intake->run->log, CPROF_NOTE_WARNING,
			"%zu threads of %d could not be asked whether they sleep at the window's end "
			"(/proc/%d/task/TID/syscall is refused): waits that are not over, deadlocks "
			"too, are missing; CAP_DAC_READ_SEARCH opens it, CAP_BPF and CAP_PERFMON do "
			"without; or run as root",
			n_refused, pid, pid);
}

struct cprof_error *cprof_wait_edges_take(struct cprof_wait_intake *intake,
					  const struct cprof_wait_tier *tier, void *state)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	struct open_waits open = { .tier = tier, .state = state };
	size_t n = 0;

	struct cprof_error *err = cprof_thread_list(intake->process->target->pid, &tids, &n);
	if (err) { /* it has ended: nothing is open */
		cprof_error_free(err);
		return NULL;
	}
	read_rows(intake, &open.rows);
	err = cprof_wait_sleepers_init(&open.sleepers, intake);
	for (size_t i = 0; !err && i < n; i++)
		err = take_thread(&open, tids[i]);
	tell_refused(intake, open.n_refused);
	cprof_wait_sleepers_deinit(&open.sleepers);
	free(open.rows.rows);
	return err;
}
