/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_long.h"

#include <sys/syscall.h>

#include "base/clock.h"

#define LONG_NS    (CPROF_NS_PER_S / 100)
#define LOOKS_MAX  16 /* each time; some 50 us each */
#define LOOKED_MAX 65536

void cprof_wait_long_deinit(struct cprof_wait_long *long_waits)
{
	if (long_waits->ready)
		cprof_wait_sleepers_deinit(&long_waits->sleepers);
	cprof_map64_deinit(&long_waits->looked);
	long_waits->ready = false;
}

/* False: it has been looked at in this wait, or sleeps for the first of some time. */
static bool is_due(const struct cprof_wait_long *long_waits, uint64_t tid,
		   const struct cprof_wait_pair_thread *thread, uint64_t now_ns)
{
	const uint64_t *looked = cprof_map64_get(&long_waits->looked, tid);
	return thread->entered_ns && thread->entered_ns + LONG_NS < now_ns &&
	       (!looked || *looked != thread->entered_ns);
}

/* The call that it is in must be the one that was told: that of futex_waitv has no word and no operation. */
static bool is_in(const struct cprof_wait_sleeper *sleeper,
		  const struct cprof_wait_pair_thread *thread)
{
	const struct cprof_thread_call *call = &sleeper->call;
	if (call->kind != CPROF_CALL_BLOCKED || call->args[0] != thread->addr)
		return false;
	return thread->op == CPROF_WAIT_PAIR_WAITV
		       ? call->nr == SYS_futex_waitv
		       : call->nr == SYS_futex && (uint32_t)call->args[1] == thread->op;
}

static struct cprof_error *keep(struct cprof_wait_long *long_waits,
				const struct cprof_wait_sleeper *sleeper,
				const struct cprof_wait_pair_thread *thread,
				struct cprof_wait_stacks *stacks, uint64_t now_ns)
{
	struct cprof_wait_intake *intake = long_waits->sleepers.intake;
	struct cprof_wait wait = {
		.tid = (uint32_t)sleeper->tid,
		.syscall = (int32_t)sleeper->call.nr,
		.futex_op = thread->op == CPROF_WAIT_PAIR_WAITV ? 0 : thread->op,
		.futex_val = thread->val,
		.addr = thread->addr,
		.delay_ns = (double)(now_ns - thread->entered_ns),
	};
	struct cprof_session_stack stack;
	uint32_t row;
	bool caught;
	struct cprof_error *err =
		cprof_wait_sleepers_walk(&long_waits->sleepers, sleeper, NULL, &caught, &stack);
	if (err || !caught)
		return err;
	err = cprof_wait_intake_keep(intake, &wait, &stack, &row);
	return err ? err : cprof_wait_stacks_note(stacks, &wait, row);
}

static struct cprof_error *look_at(struct cprof_wait_long *long_waits, uint32_t tid,
				   const struct cprof_wait_pair_thread *thread,
				   struct cprof_wait_stacks *stacks, uint64_t now_ns)
{
	const pid_t pid = long_waits->sleepers.intake->process->target->pid;
	struct cprof_wait_sleeper sleeper;
	struct cprof_error *err = NULL;
	if (long_waits->looked.len >= LOOKED_MAX)
		cprof_map64_deinit(&long_waits->looked);
	uint64_t *looked = cprof_map64_put(&long_waits->looked, tid, NULL);
	if (!looked)
		return cprof_error_no_memory();
	*looked = thread->entered_ns;
	cprof_wait_sleeper_open(pid, (pid_t)tid, &sleeper);
	if (sleeper.syscall_fd >= 0 && cprof_wait_sleeper_read(&sleeper) && is_in(&sleeper, thread))
		err = keep(long_waits, &sleeper, thread, stacks, now_ns);
	cprof_wait_sleeper_close(&sleeper);
	return err;
}

struct cprof_error *cprof_wait_long_look(struct cprof_wait_long *long_waits,
					 struct cprof_wait_intake *intake,
					 const struct cprof_wait_pair *pair,
					 struct cprof_wait_stacks *stacks, uint64_t now_ns)
{
	struct cprof_error *err = NULL;
	if (!long_waits->ready) {
		err = cprof_wait_sleepers_init(&long_waits->sleepers, intake);
		long_waits->ready = true;
	}
	unsigned looks = 0;
	for (size_t i = 0; !err && i < pair->by_tid.cap && looks < LOOKS_MAX; i++) {
		const struct cprof_map64_slot *slot = &pair->by_tid.slots[i];
		if (!slot->used ||
		    !is_due(long_waits, slot->key, &pair->threads[slot->value], now_ns))
			continue;
		looks++;
		err = look_at(long_waits, (uint32_t)slot->key, &pair->threads[slot->value], stacks,
			      now_ns);
	}
	return err;
}
