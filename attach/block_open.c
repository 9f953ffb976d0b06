#include "attach/block_open.h"

#include <stdlib.h>
#include <sys/syscall.h>

#include "attach/thread_iter.h"
#include "attach/thread_proc.h"
#include "attach/wait_kind.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define CALL_TEXT_MAX 256

static bool read_call(const struct cprof_block *block, pid_t tid, struct cprof_thread_call *ret)
{
	char text[CALL_TEXT_MAX];
	int n = cprof_thread_read(block->process->target->pid, tid, "syscall", text, sizeof(text));
	return n > 0 && cprof_thread_call_parse(text, ret);
}

static bool in_scope(const struct cprof_block *block, const struct cprof_thread_call *call)
{
	if (call->kind == CPROF_CALL_OUTSIDE) /* a thread that has ended has no stack any more */
		return block->all && call->sp;
	if (call->kind != CPROF_CALL_BLOCKED)
		return false;
	return block->all || cprof_wait_is_futex((int32_t)call->nr);
}

static bool read_sleeper(const struct cprof_block *block, pid_t tid,
			 struct cprof_block_open_sleeper *ret)
{
	struct cprof_thread_call call;
	if (!read_call(block, tid, &call) || call.kind != CPROF_CALL_BLOCKED ||
	    call.nr != SYS_futex)
		return false;
	*ret = (struct cprof_block_open_sleeper){
		.tid = tid,
		.now_ns = cprof_clock_mono_ns(),
		.addr = call.args[0],
		.op = (uint32_t)call.args[1],
		.val = (uint32_t)call.args[2],
	};
	return true;
}

void cprof_block_open_before(struct cprof_block *block, cprof_block_open_fn *fn, void *ctx)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	struct cprof_error *err = cprof_thread_list(block->process->target->pid, &tids, &n);
	cprof_error_free(err); /* it has ended already: the window will see that */
	for (size_t i = 0; i < n; i++) {
		struct cprof_block_open_sleeper sleeper;
		if (read_sleeper(block, tids[i], &sleeper))
			fn(ctx, &sleeper);
	}
}

bool cprof_block_open_still(const struct cprof_block *block,
			    const struct cprof_block_open_sleeper *sleeper)
{
	struct cprof_block_open_sleeper now;
	return read_sleeper(block, sleeper->tid, &now) && now.addr == sleeper->addr &&
	       now.op == sleeper->op && now.val == sleeper->val;
}

/* Its registers; false if it is not the wait that `call` shows any more. */
static bool find_regs(const struct cprof_thread_iter_row *rows, size_t n, pid_t tid,
		      const struct cprof_thread_call *call, struct cprof_regs *ret_regs)
{
	for (size_t i = 0; i < n; i++) {
		struct cprof_thread_call seen;
		if (rows[i].tid != (uint32_t)tid)
			continue;
		cprof_thread_regs_call(rows[i].regs, &seen);
		if (seen.sp != call->sp || seen.pc != call->pc)
			return false;
		cprof_thread_regs_from_kernel(rows[i].regs, ret_regs);
		return true;
	}
	cprof_thread_regs_from_call(call, ret_regs);
	return true;
}

static struct cprof_error *take_one(struct cprof_block *block, pid_t tid, uint64_t now_ns,
				    uint64_t since_ns, const struct cprof_thread_call *call,
				    const struct cprof_regs *regs)
{
	const bool blocked = call->kind == CPROF_CALL_BLOCKED;
	const struct cprof_wait wait = {
		.tid = (uint32_t)tid,
		.syscall = blocked ? (int32_t)call->nr : CPROF_WAIT_NO_SYSCALL,
		.futex_op = (uint32_t)call->args[1],
		.futex_val = (uint32_t)call->args[2],
		.addr = blocked ? call->args[0] : 0,
		.open = true,
		.count = 1,
		.delay_ns = now_ns > since_ns ? (double)(now_ns - since_ns) : 1,
	};
	struct cprof_wait with_owner = wait;
	/* __owner of a pthread mutex; believed only where kind and thread ids agree with it. */
	uint32_t owner = 0;
	if (blocked && cprof_wait_is_futex(wait.syscall) &&
	    cprof_target_mem_read(&block->process->mem, wait.addr + 8, &owner, sizeof(owner)))
		with_owner.owner_tid = owner;
	const struct cprof_session_moment moment = {
		.process = block->process,
		.regs = regs,
		.stack_addr = call->sp,
		.live = true,
	};
	cprof_block_find_owner(&with_owner);
	return cprof_block_take(block, &with_owner, &moment, NULL);
}

struct cprof_error *cprof_block_open_waits(struct cprof_block *block,
					   const struct cprof_block_tier *tier, void *state)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	CPROF_AUTO(free) struct cprof_thread_iter_row *rows = NULL;
	struct cprof_thread_iter *iter = NULL;
	size_t n = 0, n_rows = 0;
	pid_t pid = block->process->target->pid;

	struct cprof_error *err = cprof_thread_list(pid, &tids, &n);
	if (err) { /* it has ended: nothing is open */
		cprof_error_free(err);
		return NULL;
	}
	err = cprof_thread_iter_open(pid, &iter);
	if (!err)
		err = cprof_thread_iter_read(iter, &rows, &n_rows);
	cprof_error_free(err); /* then pc and sp have to do */
	err = NULL;

	for (size_t i = 0; !err && i < n; i++) {
		struct cprof_thread_call call;
		struct cprof_regs regs;
		uint64_t since = block->run->window->start_mono_ns, seen;
		if (!read_call(block, tids[i], &call) || !in_scope(block, &call) ||
		    !find_regs(rows, n_rows, tids[i], &call, &regs))
			continue;
		if (tier->since && tier->since(state, (uint32_t)tids[i], &seen) && seen > since)
			since = seen;
		if (since < cprof_block_end_ns(block))
			err = take_one(block, tids[i], cprof_block_end_ns(block), since, &call,
				       &regs);
	}
	cprof_thread_iter_close(iter);
	return err;
}
