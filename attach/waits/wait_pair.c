/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_pair.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "attach/locks/futex.h"
#include "attach/locks/lock_word.h"
#include "attach/locks/wait_kind.h"
#include "base/array.h"
#include "base/cleanup.h"

/* Memory stays bounded under thread churn and with locks that come and go: then all is begun anew. */
#define THREADS_MAX 65536
#define WAKES_MAX   65536

#define LOCK_CONTENDED 2 /* what waiters for a glibc or musl mutex see in its word */

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

static bool requeues(uint32_t op)
{
	const uint32_t command = cprof_futex_command(op);
	return op != CPROF_WAIT_PAIR_WAITV &&
	       (command == FUTEX_REQUEUE || command == FUTEX_CMP_REQUEUE ||
		command == FUTEX_CMP_REQUEUE_PI);
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

/* Nobody's release ended its wait: where it was moved to is where it is owed. */
static void abandon(struct cprof_wait_pair *pair, const struct cprof_wait_pair_thread *thread,
		    uint64_t now_ns)
{
	cprof_wait_charge_abandon(&pair->charge, thread->moved_ns ? thread->to_addr : thread->addr,
				  thread->moved_ns ? thread->moved_ns : thread->entered_ns, now_ns);
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
		abandon(pair, thread, now_ns);
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

/* ---- requeue ---- */

struct sleeper {
	uint64_t entered_ns;
	uint32_t index;
};

static int by_arrival(const void *a, const void *b)
{
	const struct sleeper *left = a, *right = b;
	return (left->entered_ns > right->entered_ns) - (left->entered_ns < right->entered_ns);
}

/* Who sleeps at `addr` and was not moved from there, the first to come first. `*ret_sleepers` is to be freed. */
static struct cprof_error *find_sleepers(const struct cprof_wait_pair *pair, uint64_t addr,
					 struct sleeper **ret_sleepers, uint32_t *ret_n)
{
	uint32_t n = 0;
	struct sleeper *sleepers = calloc(pair->n_threads, sizeof(*sleepers));
	if (!sleepers)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < pair->n_threads; i++) {
		const struct cprof_wait_pair_thread *thread = &pair->threads[i];
		if (thread->entered_ns && thread->addr == addr && !thread->moved_ns &&
		    waits(thread->op) && thread->op != CPROF_WAIT_PAIR_WAITV)
			sleepers[n++] = (struct sleeper){ thread->entered_ns, i };
	}
	qsort(sleepers, n, sizeof(*sleepers), by_arrival);
	*ret_sleepers = sleepers;
	*ret_n = n;
	return NULL;
}

static void move(struct cprof_wait_pair_thread *thread, uint32_t mover,
		 const struct cprof_wait_pair_thread *call, uint32_t wakes_there)
{
	thread->moved_ns = call->entered_ns;
	thread->to_addr = call->to_addr;
	thread->to_wakes = wakes_there;
	thread->to_pi = cprof_futex_op(call->op)->pi;
	thread->mover = mover;
	thread->owner = 0;
	thread->owner_read = false;
}

struct cprof_error *cprof_wait_pair_requeue(struct cprof_wait_pair *pair, uint32_t tid, uint64_t to,
					    uint64_t n)
{
	struct cprof_wait_pair_thread *call = thread_get(pair, tid);
	struct cprof_wait_pair_wake *there;
	uint32_t n_sleepers = 0;
	if (!call || !call->entered_ns || !requeues(call->op) || to == call->addr)
		return NULL;
	struct cprof_error *err = wake_put(pair, to, &there);
	if (err)
		return err;
	call->to_addr = to;
	if (!there->op && !there->val) { /* nobody has lain down there by himself */
		const bool pi = cprof_futex_op(call->op)->pi;
		there->op = (pi ? FUTEX_LOCK_PI : FUTEX_WAIT) | (call->op & FUTEX_PRIVATE_FLAG);
		there->val = LOCK_CONTENDED;
	}
	CPROF_AUTO(free) struct sleeper *sleepers = NULL;
	err = find_sleepers(pair, call->addr, &sleepers, &n_sleepers);
	/* With priorities the first one is woken only if the lock is free. */
	const uint64_t woken = cprof_futex_op(call->op)->pi ? 0 : call->val;
	for (uint64_t i = woken; !err && i < n_sleepers && i - woken < n; i++)
		move(&pair->threads[sleepers[i].index], tid, call, there->n);
	return err;
}

/* ---- waits ---- */

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

/* One stay at one address, from `began_ns` until `wake` or, if that did not end it, until `now_ns`. */
struct stay {
	uint64_t began_ns, now_ns;
	const struct cprof_wait_pair_wake *wake; /* what is known of the address; NULL: nothing */
	bool woken;
};

static bool end_stay(const struct cprof_wait_pair *pair,
		     const struct cprof_wait_pair_thread *thread, uint32_t tid,
		     const struct stay *stay, struct cprof_wait *wait)
{
	const struct cprof_wait_pair_wake *wake = stay->wake;
	const bool has_queue = stay->woken && wake && wake->tid != tid &&
			       wake->at_ns > stay->began_ns && wake->at_ns < stay->now_ns;
	const uint64_t end_ns = has_queue ? wake->at_ns : stay->now_ns;
	const uint64_t begin_ns = stay->began_ns > pair->from_ns ? stay->began_ns : pair->from_ns;
	if (end_ns < begin_ns)
		return false;
	describe(thread, tid, end_ns - begin_ns, end_ns, wait);
	wait->queue_ns = (double)(stay->now_ns - end_ns);
	wait->ran_ns = stay->now_ns;
	wait->woken = stay->woken;
	wait->waker_tid = has_queue ? wake->tid : 0;
	/* Its own number: it had the lock already when the owner was read. */
	if ((!wait->owner_tid || wait->owner_tid == tid) && wake)
		wait->owner_tid = first_waker(thread, wake);
	return true;
}

/* The last wake before it returned was at the lock that it is thought to have been moved to; who gave up was there too. */
static bool was_moved(const struct cprof_wait_pair *pair,
		      const struct cprof_wait_pair_thread *thread, uint32_t tid, uint64_t now_ns,
		      int64_t ret)
{
	if (!thread->moved_ns || thread->moved_ns >= now_ns)
		return false;
	const struct cprof_wait_pair_wake *here = wake_get(pair, thread->addr);
	const struct cprof_wait_pair_wake *there = wake_get(pair, thread->to_addr);
	if (ret < 0)
		return true;
	return there && there->tid != tid && there->at_ns > thread->moved_ns &&
	       there->at_ns < now_ns && (!here || there->at_ns > here->at_ns);
}

/* The same thread as the lock's waiter that it became. */
static struct cprof_wait_pair_thread at_the_lock(const struct cprof_wait_pair_thread *thread)
{
	struct cprof_wait_pair_thread moved = *thread;
	moved.entered_ns = thread->moved_ns;
	moved.addr = thread->to_addr;
	moved.wakes = thread->to_wakes;
	moved.op = (thread->to_pi ? FUTEX_LOCK_PI : FUTEX_WAIT) | (thread->op & FUTEX_PRIVATE_FLAG);
	moved.val = LOCK_CONTENDED;
	return moved;
}

static unsigned end_moved(struct cprof_wait_pair *pair, const struct cprof_wait_pair_thread *thread,
			  uint32_t tid, uint64_t now_ns, int64_t ret, struct cprof_wait *wait)
{
	unsigned n = 0;
	const struct cprof_wait_pair_thread moved = at_the_lock(thread);
	const struct stay before = { .began_ns = thread->entered_ns,
				     .now_ns = thread->moved_ns,
				     .woken = true };
	const struct stay after = { .began_ns = thread->moved_ns,
				    .now_ns = now_ns,
				    .wake = wake_get(pair, moved.addr),
				    .woken = ret == 0 };
	if (end_stay(pair, thread, tid, &before, &wait[n])) {
		wait[n].owner_tid = 0; /* that which was read is the lock's */
		wait[n++].waker_tid = thread->mover;
	}
	if (end_stay(pair, &moved, tid, &after, &wait[n]))
		wait[n++].requeued = true;
	return n;
}

/* Moved to a free lock with priorities: the kernel gave it that, and nobody owes it anything. */
static bool got_it_at_once(const struct cprof_wait_pair *pair,
			   const struct cprof_wait_pair_thread *thread)
{
	const struct cprof_wait_pair_wake *there =
		thread->moved_ns && thread->to_pi ? wake_get(pair, thread->to_addr) : NULL;
	return there && there->n == thread->to_wakes;
}

static unsigned end_wait(struct cprof_wait_pair *pair, const struct cprof_wait_pair_thread *thread,
			 uint32_t tid, uint64_t now_ns, int64_t ret, struct cprof_wait *wait)
{
	if (pair->releases) {
		if (ret < 0)
			abandon(pair, thread, now_ns);
		else if (got_it_at_once(pair, thread))
			abandon(pair, thread, thread->moved_ns);
		return 0;
	}
	if (ret == -EAGAIN) /* the word had changed already: it never slept */
		return 0;
	if (was_moved(pair, thread, tid, now_ns, ret))
		return end_moved(pair, thread, tid, now_ns, ret, wait);
	const bool waitv = thread->op == CPROF_WAIT_PAIR_WAITV;
	const struct stay stay = { .began_ns = thread->entered_ns,
				   .now_ns = now_ns,
				   .wake = wakes_of(pair, thread),
				   .woken = waitv ? ret >= 0 : ret == 0 };
	return end_stay(pair, thread, tid, &stay, wait);
}

/* A requeue returns how many it woke and moved; from now on those are owed by who releases the lock. */
static void begin_at_the_lock(struct cprof_wait_pair *pair,
			      const struct cprof_wait_pair_thread *thread, uint64_t taken)
{
	if (!requeues(thread->op) || !thread->to_addr)
		return;
	const bool pi = cprof_futex_op(thread->op)->pi;
	for (uint64_t i = pi ? 0 : thread->val; i < taken && i < pair->n_threads; i++)
		cprof_error_free(cprof_wait_charge_begin(&pair->charge, thread->to_addr,
							 thread->entered_ns));
}

static bool end_wake(struct cprof_wait_pair *pair, const struct cprof_wait_pair_thread *thread,
		     uint32_t tid, int64_t ret, struct cprof_wait *wait)
{
	const struct cprof_wait_pair_wake *waiters = wake_get(pair, thread->addr);
	/* UNLOCK_PI returns 0 and has handed the lock to one waiter. */
	const bool unlock_pi = cprof_futex_command(thread->op) == FUTEX_UNLOCK_PI;
	uint64_t woken = ret > 0 ? (uint64_t)ret : ret == 0 && unlock_pi ? 1 : 0;
	begin_at_the_lock(pair, thread, woken);
	uint64_t charge_ns =
		cprof_wait_charge_release(&pair->charge, thread->addr, woken, thread->entered_ns);
	if (!charge_ns)
		return false;
	describe(thread, tid, charge_ns, thread->entered_ns, wait);
	wait->futex_op = waiters ? waiters->op : thread->op;
	wait->futex_val = waiters ? waiters->val : thread->val;
	return true;
}

unsigned cprof_wait_pair_exit(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now_ns,
			      int64_t ret, struct cprof_wait *wait)
{
	struct cprof_wait_pair_thread *thread = thread_get(pair, tid);
	if (!thread || !thread->entered_ns || now_ns < thread->entered_ns)
		return 0;
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
		const struct cprof_wait_pair_thread at =
			thread->moved_ns ? at_the_lock(thread) : *thread;
		const struct cprof_wait as_wait = { .syscall = SYS_futex,
						    .futex_op = at.op,
						    .futex_val = at.val };
		enum cprof_wait_kind kind = cprof_wait_kind_by_number(&as_wait);
		uint32_t word = 0;
		if (kind == CPROF_WAIT_MUTEX || kind == CPROF_WAIT_RWLOCK)
			thread->owner = cprof_lock_word_beside(memory, at.addr, at.op, at.val);
		if (kind == CPROF_WAIT_PI_MUTEX &&
		    memory->read(memory->ctx, at.addr, &word, sizeof(word)))
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
