/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_copy.h"

#include <stdlib.h>
#include <string.h>

#include "attach/target/target_mem.h"
#include "base/cleanup.h"
#include "cprof/arch.h"

/* How often a thread that has moved while it was read is read again. */
#define ROUNDS_MAX 4

/* Copies into a buffer of its own size, since most stacks are short. */
static struct cprof_error *take_stack(pid_t reader, size_t stack_bytes, uint8_t *scratch,
				      struct cprof_thread *thread)
{
	const struct cprof_arch *arch = cprof_arch_host();
	if (stack_bytes == 0) {
		thread->why = "the memory of the process does not answer";
		return NULL;
	}
	uint64_t sp = thread->regs.r[arch->sp] - arch->red_zone_bytes;
	size_t n = cprof_target_mem_copy_by(reader, sp, scratch, stack_bytes);
	free(thread->stack);
	thread->stack = NULL;
	thread->stack_addr = sp;
	thread->n_stack = 0;
	if (n == 0) {
		thread->why = "its stack cannot be read";
		return NULL;
	}
	thread->stack = malloc(n);
	if (!thread->stack)
		return cprof_error_no_memory();
	memcpy(thread->stack, scratch, n);
	thread->n_stack = n;
	return NULL;
}

static bool still_there(const struct cprof_thread *before, const struct cprof_thread *now)
{
	return now->means != CPROF_MEANS_NONE && before->start == now->start &&
	       before->switches == now->switches && before->regs.pc == now->regs.pc &&
	       memcmp(before->regs.r, now->regs.r, sizeof(now->regs.r)) == 0;
}

/* The thread as read anew; the stack of before is given up. */
static void replace(struct cprof_thread *old, const struct cprof_thread *now)
{
	uint8_t *stack = old->stack;
	*old = *now;
	free(stack);
	old->stack = NULL;
	old->n_stack = 0;
}

/* Read the pending threads once more. Those that have not moved are done; the others begin anew. */
static struct cprof_error *confirm_by_iter(struct cprof_thread_observer *observer,
					   struct cprof_thread_snapshot *snapshot, bool *pending,
					   size_t *n_pending)
{
	struct cprof_thread_snapshot now = { 0 };
	struct cprof_error *err = cprof_thread_observer_take(observer, &now);
	if (err) {
		cprof_thread_snapshot_deinit(&now);
		return err;
	}
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (!pending[i])
			continue;
		size_t at = cprof_thread_snapshot_find(&now, thread->tid);
		if (at == SIZE_MAX) {
			thread->state = 'X';
			thread->means = CPROF_MEANS_NONE;
			thread->why = "it has ended";
			pending[i] = false;
		} else if (still_there(thread, &now.threads[at])) {
			pending[i] = false;
		} else {
			replace(thread, &now.threads[at]);
			pending[i] = thread->means != CPROF_MEANS_NONE;
		}
		*n_pending += pending[i];
	}
	cprof_thread_snapshot_deinit(&now);
	return NULL;
}

static void confirm_by_proc(struct cprof_thread_observer *observer, struct cprof_thread *thread,
			    bool *pending)
{
	if (cprof_thread_observer_keeps_still(observer, thread)) {
		*pending = false;
		return;
	}
	struct cprof_thread now = { 0 };
	cprof_thread_observer_fill(observer, thread->tid, &now);
	replace(thread, &now);
	*pending = thread->means != CPROF_MEANS_NONE;
}

/* One round: copy the stack of every pending thread, then see which of them have kept still. */
static struct cprof_error *copy_round(struct cprof_thread_observer *observer, size_t stack_bytes,
				      struct cprof_thread_snapshot *snapshot, bool *pending,
				      uint8_t *scratch, size_t *ret_pending)
{
	pid_t reader = cprof_target_living_tid(observer->target);
	*ret_pending = 0;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!pending[i])
			continue;
		struct cprof_error *err =
			take_stack(reader, stack_bytes, scratch, &snapshot->threads[i]);
		if (err)
			return err;
		/* By /proc each thread is asked by itself: right away, while it is still likely to be there. */
		if (!observer->iter) {
			confirm_by_proc(observer, &snapshot->threads[i], &pending[i]);
			*ret_pending += pending[i];
		}
	}
	return observer->iter ? confirm_by_iter(observer, snapshot, pending, ret_pending) : NULL;
}

struct cprof_error *cprof_thread_copy_stacks(struct cprof_thread_observer *observer,
					     size_t stack_bytes,
					     struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) bool *pending = calloc(snapshot->n ? snapshot->n : 1, sizeof(*pending));
	CPROF_AUTO(free) uint8_t *scratch = malloc(stack_bytes + 1);
	size_t n_pending = 0;
	if (!pending || !scratch)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		pending[i] = thread->means != CPROF_MEANS_NONE && !thread->n_stack;
		n_pending += pending[i];
	}
	for (int round = 0; n_pending && round < ROUNDS_MAX; round++) {
		struct cprof_error *err =
			copy_round(observer, stack_bytes, snapshot, pending, scratch, &n_pending);
		if (err)
			return err;
	}
	for (size_t i = 0; i < snapshot->n; i++) {
		if (pending[i]) /* it runs and sleeps all the time: as good as running */
			snapshot->threads[i].means = CPROF_MEANS_NONE;
	}
	return NULL;
}

struct cprof_error *cprof_thread_copy_newly_asleep(struct cprof_thread_observer *observer,
						   size_t stack_bytes,
						   struct cprof_thread_snapshot *snapshot)
{
	struct cprof_thread_snapshot now = { 0 };
	struct cprof_error *err = cprof_thread_observer_take(observer, &now);
	size_t found = 0;
	for (size_t i = 0; !err && i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		size_t at = cprof_thread_snapshot_find(&now, thread->tid);
		if (thread->means != CPROF_MEANS_NONE || at == SIZE_MAX ||
		    now.threads[at].means == CPROF_MEANS_NONE)
			continue;
		replace(thread, &now.threads[at]);
		found++;
	}
	cprof_thread_snapshot_deinit(&now);
	return err || !found ? err : cprof_thread_copy_stacks(observer, stack_bytes, snapshot);
}
