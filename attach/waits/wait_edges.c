#include "attach/waits/wait_edges.h"

#include <stdlib.h>
#include <sys/syscall.h>

#include "attach/target/thread_proc.h"
#include "attach/target/thread_regs.h"
#include "attach/threads/thread_iter.h"
#include "attach/waits/wait_sleeper.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define CALL_TEXT_MAX 256

static bool read_call(const struct cprof_wait_intake *intake, pid_t tid,
		      struct cprof_thread_call *ret)
{
	char text[CALL_TEXT_MAX];
	int n = cprof_thread_read(intake->process->target->pid, tid, "syscall", text, sizeof(text));
	return n > 0 && cprof_thread_call_parse(text, ret);
}

static bool read_sleeper(const struct cprof_wait_intake *intake, pid_t tid,
			 struct cprof_wait_edges_sleeper *ret)
{
	struct cprof_thread_call call;
	if (!read_call(intake, tid, &call) || call.kind != CPROF_CALL_BLOCKED ||
	    call.nr != SYS_futex)
		return false;
	*ret = (struct cprof_wait_edges_sleeper){
		.tid = tid,
		.now_ns = cprof_clock_mono_ns(),
		.addr = call.args[0],
		.op = (uint32_t)call.args[1],
		.val = (uint32_t)call.args[2],
	};
	return true;
}

void cprof_wait_edges_before(struct cprof_wait_intake *intake, cprof_wait_edges_fn *fn, void *ctx)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	struct cprof_error *err = cprof_thread_list(intake->process->target->pid, &tids, &n);
	cprof_error_free(err); /* it has ended already: the window will see that */
	for (size_t i = 0; i < n; i++) {
		struct cprof_wait_edges_sleeper sleeper;
		if (read_sleeper(intake, tids[i], &sleeper))
			fn(ctx, &sleeper);
	}
}

bool cprof_wait_edges_still(const struct cprof_wait_intake *intake,
			    const struct cprof_wait_edges_sleeper *sleeper)
{
	struct cprof_wait_edges_sleeper now;
	return read_sleeper(intake, sleeper->tid, &now) && now.addr == sleeper->addr &&
	       now.op == sleeper->op && now.val == sleeper->val;
}

static struct cprof_error *take_wait(struct cprof_wait_sleepers *sleepers,
				     const struct cprof_wait_sleeper *sleeper, uint64_t now_ns,
				     uint64_t since_ns, const struct cprof_regs *regs)
{
	struct cprof_wait_intake *intake = sleepers->intake;
	struct cprof_wait wait = cprof_wait_sleeper_wait(sleeper, intake);
	wait.open = true;
	wait.count = 1;
	wait.delay_ns = now_ns > since_ns ? (double)(now_ns - since_ns) : 1;
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
	struct cprof_thread_iter_row *rows; /* owned */
	size_t n_rows;
};

/* All its registers, where the iterator tells them; false if it is not in the wait that `call` shows any more. */
static bool find_regs(const struct open_waits *open, pid_t tid,
		      const struct cprof_thread_call *call, struct cprof_regs *ret_regs,
		      bool *ret_known)
{
	*ret_known = false;
	for (size_t i = 0; i < open->n_rows; i++) {
		struct cprof_thread_call seen;
		if (open->rows[i].tid != (uint32_t)tid)
			continue;
		cprof_thread_regs_call(open->rows[i].regs, &seen);
		if (seen.sp != call->sp || seen.pc != call->pc)
			return false;
		cprof_thread_regs_from_kernel(open->rows[i].regs, ret_regs);
		*ret_known = true;
	}
	return true;
}

static struct cprof_error *take_thread(struct open_waits *open, pid_t tid)
{
	struct cprof_wait_intake *intake = open->sleepers.intake;
	const uint64_t end_ns = cprof_wait_intake_end_ns(intake);
	uint64_t since = intake->run->window->start_mono_ns, seen;
	struct cprof_regs regs;
	bool all_known = false;
	struct cprof_wait_sleeper sleeper;
	cprof_wait_sleeper_open(intake->process->target->pid, tid, &sleeper);
	bool sleeps = sleeper.syscall_fd >= 0 && cprof_wait_sleeper_read(&sleeper) &&
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

struct cprof_error *cprof_wait_edges_take(struct cprof_wait_intake *intake,
					  const struct cprof_wait_tier *tier, void *state)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	struct cprof_thread_iter *iter = NULL;
	struct open_waits open = { .tier = tier, .state = state };
	size_t n = 0;
	pid_t pid = intake->process->target->pid;

	struct cprof_error *err = cprof_thread_list(pid, &tids, &n);
	if (err) { /* it has ended: nothing is open */
		cprof_error_free(err);
		return NULL;
	}
	err = cprof_thread_iter_open(pid, &iter);
	if (!err)
		err = cprof_thread_iter_read(iter, &open.rows, &open.n_rows);
	cprof_error_free(err); /* then pc and sp have to do */

	err = cprof_wait_sleepers_init(&open.sleepers, intake);
	for (size_t i = 0; !err && i < n; i++)
		err = take_thread(&open, tids[i]);
	cprof_wait_sleepers_deinit(&open.sleepers);
	cprof_thread_iter_close(iter);
	free(open.rows);
	return err;
}
