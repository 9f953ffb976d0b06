/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_pair.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "attach/locks/futex.h"
#include "attach/locks/lock_word.h"
#include "attach/locks/wait_kind.h"
#include "base/array.h"

/* Memory stays bounded under thread churn and with locks that come and go: then all is begun anew. */
#define THREADS_MAX 65536
#define WAKES_MAX   65536

void cprof_wait_pair_deinit(struct cprof_wait_pair *pair)
{
	cprof_map64_deinit(&pair->by_tid);
	cprof_map64_deinit(&pair->by_addr);
	free(pair->threads);
	free(pair->wakes);
	cprof_wait_charge_deinit(&pair->charge);
	*pair = (struct cprof_wait_pair){ 0 };
}

static struct cprof_wait_pair_thread *thread_get(const struct cprof_wait_pair *pair, uint32_t tid)
{
	const uint64_t *index = cprof_map64_get(&pair->by_tid, tid);
	return index ? &pair->threads[*index] : NULL;
}

static struct cprof_wait_pair_wake *wake_get(const struct cprof_wait_pair *pair, uint64_t addr)
{
	const uint64_t *index = cprof_map64_get(&pair->by_addr, addr);
	return index ? &pair->wakes[*index] : NULL;
}

static struct cprof_error *thread_put(struct cprof_wait_pair *pair, uint32_t tid,
				      struct cprof_wait_pair_thread **ret)
{
	*ret = thread_get(pair, tid);
	if (*ret)
		return NULL;
	if (pair->n_threads == THREADS_MAX) {
		cprof_map64_deinit(&pair->by_tid);
		pair->n_threads = 0;
	}
	uint64_t *index = NULL;
	if (CPROF_ARRAY_ROOM(pair->threads, pair->n_threads, pair->cap_threads, 1))
		index = cprof_map64_put(&pair->by_tid, tid, NULL);
	if (!index)
		return cprof_error_no_memory();
	*index = pair->n_threads;
	*ret = &pair->threads[pair->n_threads++];
	**ret = (struct cprof_wait_pair_thread){ 0 };
	return NULL;
}

static struct cprof_error *wake_put(struct cprof_wait_pair *pair, uint64_t addr,
				    struct cprof_wait_pair_wake **ret)
{
	*ret = wake_get(pair, addr);
	if (*ret)
		return NULL;
	if (pair->n_wakes == WAKES_MAX) {
		cprof_map64_deinit(&pair->by_addr);
		pair->n_wakes = 0;
	}
	uint64_t *index = NULL;
	if (CPROF_ARRAY_ROOM(pair->wakes, pair->n_wakes, pair->cap_wakes, 1))
		index = cprof_map64_put(&pair->by_addr, addr, NULL);
	if (!index)
		return cprof_error_no_memory();
	*index = pair->n_wakes;
	*ret = &pair->wakes[pair->n_wakes++];
	**ret = (struct cprof_wait_pair_wake){ 0 };
	return NULL;
}

static bool waits(uint32_t op)
{
	if (op == CPROF_WAIT_PAIR_WAITV)
		return true;
	const struct cprof_futex_op *known = cprof_futex_op(op);
	return known && known->role == CPROF_FUTEX_WAITS;
}

static bool wakes(uint32_t op)
{
	const struct cprof_futex_op *known = cprof_futex_op(op);
	return op != CPROF_WAIT_PAIR_WAITV && known && known->role == CPROF_FUTEX_WAKES;
}

static bool joins(const struct cprof_wait_pair_thread *thread)
{
	if (thread->op == CPROF_WAIT_PAIR_WAITV)
		return false;
	const struct cprof_wait as_wait = { .syscall = SYS_futex,
					    .futex_op = thread->op,
					    .futex_val = thread->val };
	return thread->entered_ns && cprof_wait_kind_by_number(&as_wait) == CPROF_WAIT_JOIN;
}

static void note_wake(struct cprof_wait_pair_wake *wake, uint32_t tid, uint64_t now_ns)
{
	wake->at_ns = now_ns;
	wake->tid = tid;
	wake->wakers[wake->n++ % CPROF_WAIT_PAIR_WAKERS] = tid;
}

void cprof_wait_pair_ended(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now_ns)
{
	for (uint32_t i = 0; pair->joins && i < pair->n_threads; i++) {
		const struct cprof_wait_pair_thread *thread = &pair->threads[i];
		struct cprof_wait_pair_wake *wake = wake_get(pair, thread->addr);
		if (wake && joins(thread) && thread->val == tid)
			note_wake(wake, tid, now_ns);
	}
}

struct cprof_error *cprof_wait_pair_enter(struct cprof_wait_pair *pair, uint32_t tid,
					  uint64_t now_ns, uint64_t addr, uint32_t op, uint32_t val)
{
	struct cprof_wait_pair_thread *thread;
	struct cprof_wait_pair_wake *wake = NULL;
	struct cprof_error *err = thread_put(pair, tid, &thread);
	if (!err && op != CPROF_WAIT_PAIR_WAITV)
		err = wake_put(pair, addr, &wake);
	if (err)
		return err;
	/* An entry without a return before it: that record was lost, or the thread is followed twice. */
	if (pair->releases && thread->entered_ns && waits(thread->op))
		cprof_wait_charge_abandon(&pair->charge, thread->addr, thread->entered_ns, now_ns);
	*thread = (struct cprof_wait_pair_thread){ .entered_ns = now_ns,
						   .addr = addr,
						   .op = op,
						   .val = val,
						   .wakes = wake ? wake->n : 0 };
	if (!wake)
		return NULL;
	if (wakes(op)) {
		note_wake(wake, tid, now_ns);
		return NULL;
	}
	wake->op = op;
	wake->val = val;
	pair->joins += joins(thread);
	return pair->releases && waits(op) ? cprof_wait_charge_begin(&pair->charge, addr, now_ns)
					   : NULL;
}

static void describe(const struct cprof_wait_pair_thread *thread, uint32_t tid, uint64_t delay_ns,
		     uint64_t ended_ns, struct cprof_wait *wait)
{
	*wait = (struct cprof_wait){
		.tid = tid,
		.syscall = thread->op == CPROF_WAIT_PAIR_WAITV ? SYS_futex_waitv : SYS_futex,
		.futex_op = thread->op == CPROF_WAIT_PAIR_WAITV ? 0 : thread->op,
		.futex_val = thread->val,
		.addr = thread->addr,
		.owner_tid = thread->owner,
		.count = 1,
		.delay_ns = delay_ns ? (double)delay_ns : 1,
		.began_ns = ended_ns - delay_ns,
		.woken_ns = ended_ns,
		.ran_ns = ended_ns,
	};
}

/* 0: nobody, or so many wakes ago that it is not known any more. */
static uint32_t first_waker(const struct cprof_wait_pair_thread *thread,
			    const struct cprof_wait_pair_wake *wake)
{
	const uint32_t since = wake->n - thread->wakes;
	return since && since <= CPROF_WAIT_PAIR_WAKERS
		       ? wake->wakers[thread->wakes % CPROF_WAIT_PAIR_WAKERS]
		       : 0;
}

/* Nobody wakes the list of futex_waitv: what is told of its address is of a word that lay there at another time. */
static const struct cprof_wait_pair_wake *wakes_of(const struct cprof_wait_pair *pair,
						   const struct cprof_wait_pair_thread *thread)
{
	return thread->op == CPROF_WAIT_PAIR_WAITV ? NULL : wake_get(pair, thread->addr);
}

static bool end_wait(struct cprof_wait_pair *pair, const struct cprof_wait_pair_thread *thread,
		     uint32_t tid, uint64_t now_ns, int64_t ret, struct cprof_wait *wait)
{
	if (pair->releases) {
		if (ret < 0)
			cprof_wait_charge_abandon(&pair->charge, thread->addr, thread->entered_ns,
						  now_ns);
		return false;
	}
	if (ret == -EAGAIN) /* the word had changed already: it never slept */
		return false;
	uint64_t end_ns = now_ns;
	const struct cprof_wait_pair_wake *wake = wakes_of(pair, thread);
	bool has_queue = ret == 0 && wake && wake->tid != tid && wake->at_ns > thread->entered_ns &&
			 wake->at_ns < now_ns;
	if (has_queue)
		end_ns = wake->at_ns;
	const uint64_t begin_ns =
		thread->entered_ns > pair->from_ns ? thread->entered_ns : pair->from_ns;
	if (end_ns < begin_ns)
		return false;
	describe(thread, tid, end_ns - begin_ns, end_ns, wait);
	wait->queue_ns = (double)(now_ns - end_ns);
	wait->ran_ns = now_ns;
	wait->woken = thread->op == CPROF_WAIT_PAIR_WAITV ? ret >= 0 : ret == 0;
	wait->waker_tid = has_queue ? wake->tid : 0;
	/* Its own number: it had the lock already when the owner was read. */
	if ((!wait->owner_tid || wait->owner_tid == tid) && wake)
		wait->owner_tid = first_waker(thread, wake);
	return true;
}

static bool end_wake(struct cprof_wait_pair *pair, const struct cprof_wait_pair_thread *thread,
		     uint32_t tid, int64_t ret, struct cprof_wait *wait)
{
	const struct cprof_wait_pair_wake *waiters = wake_get(pair, thread->addr);
	/* UNLOCK_PI returns 0 and has handed the lock to one waiter. */
	bool pi = cprof_futex_op(thread->op)->pi;
	uint64_t woken = ret > 0 ? (uint64_t)ret : ret == 0 && pi ? 1 : 0;
	uint64_t charge_ns =
		cprof_wait_charge_release(&pair->charge, thread->addr, woken, thread->entered_ns);
	if (!charge_ns)
		return false;
	describe(thread, tid, charge_ns, thread->entered_ns, wait);
	wait->futex_op = waiters ? waiters->op : thread->op;
	wait->futex_val = waiters ? waiters->val : thread->val;
	return true;
}

bool cprof_wait_pair_exit(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now_ns, int64_t ret,
			  struct cprof_wait *wait)
{
	struct cprof_wait_pair_thread *thread = thread_get(pair, tid);
	if (!thread || !thread->entered_ns || now_ns < thread->entered_ns)
		return false;
	const struct cprof_wait_pair_thread was = *thread;
	pair->joins -= pair->joins && joins(thread);
	thread->entered_ns = 0;
	if (waits(was.op))
		return end_wait(pair, &was, tid, now_ns, ret, wait);
	return pair->releases && wakes(was.op) && end_wake(pair, &was, tid, ret, wait);
}

void cprof_wait_pair_read_owners(struct cprof_wait_pair *pair, const struct cprof_memory *memory)
{
	for (uint32_t i = 0; i < pair->n_threads; i++) {
		struct cprof_wait_pair_thread *thread = &pair->threads[i];
		if (!thread->entered_ns || thread->owner_read || !waits(thread->op) ||
		    thread->op == CPROF_WAIT_PAIR_WAITV)
			continue;
		thread->owner_read = true;
		const struct cprof_wait as_wait = { .syscall = SYS_futex,
						    .futex_op = thread->op,
						    .futex_val = thread->val };
		enum cprof_wait_kind kind = cprof_wait_kind_by_number(&as_wait);
		uint32_t word = 0;
		if (kind == CPROF_WAIT_MUTEX &&
		    memory->read(memory->ctx, thread->addr + CPROF_LOCK_WORD_OWNER_OFFSET, &word,
				 sizeof(word)))
			thread->owner = word;
		if (kind == CPROF_WAIT_PI_MUTEX &&
		    memory->read(memory->ctx, thread->addr, &word, sizeof(word)))
			thread->owner = cprof_futex_word_owner(word);
	}
}

bool cprof_wait_pair_since(const struct cprof_wait_pair *pair, uint32_t tid, uint64_t *ret_ns)
{
	const struct cprof_wait_pair_thread *thread = thread_get(pair, tid);
	if (!thread || !thread->entered_ns || !waits(thread->op))
		return false;
	*ret_ns = thread->entered_ns;
	return true;
}
