/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_events.h"
#include "attach/waits/wait_pair.h"
#include "tests/unit/test.h"

#include <errno.h>
#include <sys/syscall.h>

#define WAIT 0x80u
#define WAKE 0x81u
#define LOCK 0x1000u

static struct cprof_wait wait, parts[CPROF_WAIT_PAIR_PARTS];

static void enter(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now, uint32_t op)
{
	CHECK(!cprof_wait_pair_enter(pair, tid, now, LOCK, op, 2));
}

TEST(wait_pair_ends_a_wait_at_the_wake_and_calls_the_rest_waiting_for_a_cpu)
{
	struct cprof_wait_pair pair = { 0 };
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 2, 4000, WAKE);
	CHECK(!cprof_wait_pair_exit(&pair, 2, 4100, 1, &wait));
	CHECK(cprof_wait_pair_exit(&pair, 1, 5000, 0, &wait));
	CHECK(wait.delay_ns == 3000 && wait.queue_ns == 1000);
	CHECK_UINT(wait.addr, LOCK);
	CHECK_UINT(wait.futex_val, 2);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_counts_a_timeout_to_its_end_and_a_refusal_not_at_all)
{
	struct cprof_wait_pair pair = { 0 };
	enter(&pair, 1, 1000, WAIT);
	CHECK(cprof_wait_pair_exit(&pair, 1, 5000, -ETIMEDOUT, &wait));
	CHECK(wait.delay_ns == 4000 && wait.queue_ns == 0);
	enter(&pair, 1, 6000, WAIT);
	CHECK(!cprof_wait_pair_exit(&pair, 1, 6100, -EAGAIN, &wait));
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_counts_a_wait_from_the_windows_start)
{
	struct cprof_wait_pair pair = { .from_ns = 2000 };
	enter(&pair, 1, 1000, WAIT);
	CHECK(cprof_wait_pair_exit(&pair, 1, 5000, 0, &wait));
	CHECK(wait.delay_ns == 3000);
	enter(&pair, 1, 1000, WAIT);
	CHECK(!cprof_wait_pair_exit(&pair, 1, 1500, 0, &wait));
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_ends_a_join_where_the_thread_ends)
{
	struct cprof_wait_pair pair = { 0 };
	CHECK(!cprof_wait_pair_enter(&pair, 1, 1000, LOCK, 0x109, 77));
	cprof_wait_pair_ended(&pair, 76, 2000);
	cprof_wait_pair_ended(&pair, 77, 3000);
	CHECK(cprof_wait_pair_exit(&pair, 1, 9000, 0, &wait));
	CHECK(wait.delay_ns == 2000 && wait.queue_ns == 6000);
	CHECK_UINT(pair.joins, 0);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_survives_lost_and_doubled_records)
{
	struct cprof_wait_pair pair = { 0 };
	uint64_t since;
	CHECK(!cprof_wait_pair_exit(&pair, 1, 500, 0, &wait)); /* entry lost */
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 1, 1001, WAIT); /* told twice */
	CHECK(cprof_wait_pair_since(&pair, 1, &since));
	CHECK_UINT(since, 1001);
	CHECK(cprof_wait_pair_exit(&pair, 1, 2000, 0, &wait));
	CHECK(!cprof_wait_pair_exit(&pair, 1, 2001, 0, &wait));
	CHECK(!cprof_wait_pair_since(&pair, 1, &since));
	enter(&pair, 1, 3000, WAIT); /* its return is lost */
	enter(&pair, 1, 9000, WAIT);
	CHECK(cprof_wait_pair_exit(&pair, 1, 9500, 0, &wait));
	CHECK(wait.delay_ns == 500);
	cprof_wait_pair_deinit(&pair);
}

static bool read_owner(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx;
	uint32_t word = addr == LOCK + 8 ? 42 : addr == LOCK ? 0x80000007 : 0;
	memcpy(buf, &word, n);
	return word != 0;
}

TEST(wait_pair_finds_the_owner_of_a_mutex_while_it_is_waited_for)
{
	struct cprof_wait_pair pair = { 0 };
	const struct cprof_memory memory = { .read = read_owner };
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 2, 1000, 0x86);                                   /* LOCK_PI */
	CHECK(!cprof_wait_pair_enter(&pair, 3, 1000, LOCK, 0x189, 0)); /* a condition variable */
	cprof_wait_pair_read_owners(&pair, &memory);
	CHECK(cprof_wait_pair_exit(&pair, 1, 2000, 0, &wait));
	CHECK_UINT(wait.owner_tid, 42);
	CHECK(cprof_wait_pair_exit(&pair, 2, 2000, 0, &wait));
	CHECK_UINT(wait.owner_tid, 7);
	CHECK(cprof_wait_pair_exit(&pair, 3, 2000, 0, &wait));
	CHECK_UINT(wait.owner_tid, 0);
	enter(&pair, 1, 3000, WAIT); /* a new wait, over before anybody looks */
	CHECK(cprof_wait_pair_exit(&pair, 1, 3100, 0, &wait));
	CHECK_UINT(wait.owner_tid, 0);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_takes_who_releases_first_for_the_owner_of_a_short_wait)
{
	struct cprof_wait_pair pair = { 0 };
	enter(&pair, 8, 900, WAKE); /* before: not the one that is waited for */
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 2, 1100, WAIT);
	enter(&pair, 7, 1200, WAKE);
	enter(&pair, 3, 1250, WAIT);
	CHECK(cprof_wait_pair_exit(&pair, 1, 1300, 0, &wait));
	CHECK_UINT(wait.owner_tid, 7);
	enter(&pair, 1, 1400, WAKE);
	CHECK(cprof_wait_pair_exit(&pair, 2, 1500, 0, &wait));
	CHECK_UINT(wait.owner_tid, 7);
	CHECK(cprof_wait_pair_exit(&pair, 3, 1500, 0, &wait));
	CHECK_UINT(wait.owner_tid, 1);
	enter(&pair, 3, 2000, WAIT); /* wakes after its entry: more than are remembered */
	for (uint32_t i = 0; i <= CPROF_WAIT_PAIR_WAKERS; i++)
		enter(&pair, 10 + i, 2100 + i, WAKE);
	CHECK(cprof_wait_pair_exit(&pair, 3, 3000, 0, &wait));
	CHECK_UINT(wait.owner_tid, 0);
	const struct cprof_memory memory = { .read = read_owner };
	enter(&pair, 42, 3100, WAIT); /* looked at when it had the lock already */
	cprof_wait_pair_read_owners(&pair, &memory);
	enter(&pair, 9, 3200, WAKE);
	CHECK(cprof_wait_pair_exit(&pair, 42, 3300, 0, &wait));
	CHECK_UINT(wait.owner_tid, 9);
	enter(&pair, 4, 4000, WAIT);
	CHECK(cprof_wait_pair_exit(&pair, 4, 5000, -ETIMEDOUT, &wait)); /* nobody */
	CHECK_UINT(wait.owner_tid, 0);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_charges_a_release_with_everybody_who_waits)
{
	struct cprof_wait_pair pair = { .releases = true };
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 2, 2000, WAIT);
	enter(&pair, 3, 4000, WAKE);
	CHECK(cprof_wait_pair_exit(&pair, 3, 4100, 1, &wait));
	CHECK_UINT(wait.tid, 3);
	CHECK(wait.delay_ns == 5000);
	CHECK_UINT(wait.futex_op, WAIT); /* what its waiters did */
	CHECK(!cprof_wait_pair_exit(&pair, 1, 4200, 0, &wait));
	enter(&pair, 3, 4500, WAKE);
	CHECK(cprof_wait_pair_exit(&pair, 3, 4600, 1, &wait));
	CHECK(wait.delay_ns == 500);
	enter(&pair, 3, 5000, WAKE); /* woke nobody */
	CHECK(!cprof_wait_pair_exit(&pair, 3, 5100, 0, &wait));
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_stays_bounded_when_threads_and_locks_come_and_go)
{
	struct cprof_wait_pair pair = { 0 };
	for (uint32_t i = 1; i < 200000; i++) {
		CHECK(!cprof_wait_pair_enter(&pair, i, i, 16ull * i, WAIT, 2));
		if (i % 2)
			CHECK(cprof_wait_pair_exit(&pair, i, i + 1, 0, &wait));
	}
	CHECK(pair.n_threads <= 65536 && pair.n_wakes <= 65536);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_tells_a_wait_for_several_words_from_one_for_one)
{
	struct cprof_wait_pair pair = { 0 };
	CHECK(!cprof_wait_pair_enter(&pair, 7, 100, 0x1000, CPROF_WAIT_PAIR_WAITV, 0));
	CHECK(cprof_wait_pair_exit(&pair, 7, 350, 1, &wait));
	CHECK_UINT((uint64_t)wait.syscall, SYS_futex_waitv);
	CHECK_UINT((uint64_t)wait.delay_ns, 250);
	CHECK(!cprof_wait_pair_enter(&pair, 7, 400, 0x1000, CPROF_WAIT_PAIR_WAITV, 0));
	CHECK(!cprof_wait_pair_exit(&pair, 7, 410, -11, &wait)); /* a word had changed already */
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_takes_the_list_of_a_wait_for_several_words_for_no_word)
{
	struct cprof_wait_pair pair = { 0 };
	enter(&pair, 1, 1000, CPROF_WAIT_PAIR_WAITV);
	enter(&pair, 2, 2000, WAKE); /* of a word where that list was */
	CHECK(cprof_wait_pair_exit(&pair, 1, 5000, 1, &wait));
	CHECK(wait.woken && wait.delay_ns == 4000 && wait.queue_ns == 0);
	CHECK(!wait.waker_tid && !wait.owner_tid);
	enter(&pair, 1, 6000, CPROF_WAIT_PAIR_WAITV);
	CHECK(cprof_wait_pair_exit(&pair, 1, 7000, -ETIMEDOUT, &wait));
	CHECK(!wait.woken);
	enter(&pair, 1, 8000, CPROF_WAIT_PAIR_WAITV);
	enter(&pair, 2, 8100, WAKE);
	CHECK(cprof_wait_pair_exit(&pair, 1, 9000, 0, &wait)); /* its first word */
	CHECK(wait.woken && wait.queue_ns == 0 && !wait.waker_tid);
	cprof_wait_pair_deinit(&pair);
}

#define MUTEX       0x2000u
#define REQUEUE     (0x80u | 3)
#define CMP_REQUEUE (0x80u | 4)

/* Thread `tid` wakes `wake` of those at LOCK and has `n` moved on to MUTEX. */
static void requeue(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now, uint32_t op,
		    uint32_t wake, uint64_t n)
{
	CHECK(!cprof_wait_pair_enter(pair, tid, now, LOCK, op, wake));
	CHECK(!cprof_wait_pair_requeue(pair, tid, MUTEX, n));
}

static void unlock(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now)
{
	CHECK(!cprof_wait_pair_enter(pair, tid, now, MUTEX, WAKE, 1));
}

TEST(wait_pair_parts_the_wait_of_a_thread_that_was_moved_to_a_lock)
{
	struct cprof_wait_pair pair = { 0 };
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 2, 1500, WAIT);
	enter(&pair, 3, 1800, WAIT);
	requeue(&pair, 9, 4000, CMP_REQUEUE, 1, 0x7fffffff);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 1, 4500, 0, parts), 1); /* the one that was woken */
	CHECK(parts[0].delay_ns == 3000 && parts[0].queue_ns == 500 && !parts[0].requeued);
	unlock(&pair, 9, 6000);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 2, 6200, 0, parts), 2);
	CHECK(parts[0].delay_ns == 2500 && parts[0].addr == LOCK && parts[0].waker_tid == 9);
	CHECK(!parts[0].requeued && parts[0].queue_ns == 0 && parts[0].count == 1);
	CHECK(parts[1].delay_ns == 2000 && parts[1].addr == MUTEX && parts[1].waker_tid == 9);
	CHECK(parts[1].requeued && parts[1].queue_ns == 200 && parts[1].owner_tid == 9);
	CHECK_UINT(parts[1].futex_op, WAIT);
	CHECK_UINT(parts[1].futex_val, 2);
	unlock(&pair, 2, 7000);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 3, 7100, 0, parts), 2);
	CHECK(parts[0].delay_ns == 2200 && parts[1].delay_ns == 3000 && parts[1].waker_tid == 2);
	enter(&pair, 3, 8000, WAIT); /* the next wait begins anew */
	enter(&pair, 9, 8500, WAKE);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 3, 9000, 0, parts), 1);
	CHECK(parts[0].delay_ns == 500 && !parts[0].requeued);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_takes_nobody_for_moved_who_was_woken_where_he_lay)
{
	struct cprof_wait_pair pair = { 0 };
	enter(&pair, 1, 1000, WAIT);
	requeue(&pair, 9, 2000, CMP_REQUEUE, 0, 0x7fffffff); /* refused: the word had changed */
	enter(&pair, 9, 3000, WAKE);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 1, 3300, 0, parts), 1);
	CHECK(parts[0].delay_ns == 2000 && parts[0].addr == LOCK);
	enter(&pair, 1, 4000, WAIT);
	enter(&pair, 2, 4100, WAIT);
	requeue(&pair, 9, 5000, REQUEUE, 0, 1); /* one, the first that came */
	unlock(&pair, 9, 6000);
	enter(&pair, 9, 6500, WAKE);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 2, 6600, 0, parts), 1);
	CHECK(parts[0].delay_ns == 2400 && !parts[0].requeued);
	enter(&pair, 3, 7000, WAIT);
	requeue(&pair, 9, 8000, CMP_REQUEUE, 0, 1);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 3, 9000, -ETIMEDOUT, parts),
		   2); /* gave up at the lock */
	CHECK(parts[1].delay_ns == 1000 && parts[1].addr == MUTEX && !parts[1].woken);
	enter(&pair, 4, 9100, WAKE); /* no requeue: nothing is moved, whatever its arguments say */
	CHECK(!cprof_wait_pair_requeue(&pair, 4, MUTEX, 5));
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_knows_a_lock_with_priorities_that_was_moved_to)
{
	struct cprof_wait_pair pair = { 0 };
	CHECK(!cprof_wait_pair_enter(&pair, 1, 1000, LOCK, 0x80 | 11, 7));
	requeue(&pair, 9, 2000, 0x80 | 12, 0, 1);
	CHECK(!cprof_wait_pair_enter(&pair, 9, 5000, MUTEX, 0x80 | 7, 0));
	CHECK_UINT(cprof_wait_pair_exit(&pair, 1, 5100, 0, parts), 2);
	CHECK(parts[0].delay_ns == 1000 && parts[0].futex_op == (0x80 | 11));
	CHECK(parts[1].delay_ns == 3000 && parts[1].futex_op == (0x80 | 6));
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_lets_the_lock_be_paid_for_who_was_moved_to_it)
{
	struct cprof_wait_pair pair = { .releases = true };
	enter(&pair, 1, 1000, WAIT);
	enter(&pair, 2, 1000, WAIT);
	enter(&pair, 3, 1000, WAIT);
	requeue(&pair, 9, 2000, CMP_REQUEUE, 1, 0x7fffffff);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 9, 2100, 3, parts),
		   1); /* of the condition variable */
	CHECK(parts[0].addr == LOCK && parts[0].delay_ns == 3000);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 1, 2200, 0, parts), 0);
	unlock(&pair, 9, 5000);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 9, 5100, 1, parts), 1); /* two have waited 3000 */
	CHECK(parts[0].addr == MUTEX && parts[0].delay_ns == 6000);
	CHECK_UINT(parts[0].futex_op, WAIT);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 2, 5200, 0, parts), 0);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 3, 5500, -ETIMEDOUT, parts), 0);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_pair_lets_nobody_pay_for_who_was_moved_to_a_free_lock_with_priorities)
{
	struct cprof_wait_pair pair = { .releases = true };
	CHECK(!cprof_wait_pair_enter(&pair, 1, 1000, LOCK, 0x80 | 11, 7));
	CHECK(!cprof_wait_pair_enter(&pair, 2, 1100, LOCK, 0x80 | 11, 7));
	requeue(&pair, 9, 2000, 0x80 | 12, 1, 5);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 9, 2100, 2, parts), 1);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 1, 2200, 0, parts),
		   0); /* got it, and drops it later */
	CHECK(!cprof_wait_pair_enter(&pair, 1, 4000, MUTEX, 0x80 | 7, 0));
	CHECK_UINT(cprof_wait_pair_exit(&pair, 1, 4100, 0, parts), 1);
	CHECK(parts[0].delay_ns == 2000 && parts[0].addr == MUTEX);
	CHECK_UINT(parts[0].futex_op, 0x80 | 6);
	CHECK_UINT(cprof_wait_pair_exit(&pair, 2, 4200, 0, parts), 0);
	cprof_wait_pair_deinit(&pair);
}

TEST(wait_events_decode_takes_futex_calls_and_nothing_else)
{
	struct cprof_wait_events_call call;
	uint64_t raw[8] = { 522, SYS_futex, 0xabc000, 0x80, 2, 0, 0, 0 };
	CHECK(cprof_wait_events_decode(raw, sizeof(raw), 522, 521, &call));
	CHECK(call.kind == CPROF_WAIT_EVENTS_ENTER);
	CHECK_UINT(call.addr, 0xabc000);
	CHECK_UINT(call.op, 0x80);
	CHECK_UINT(call.val, 2);
	raw[0] = 521;
	raw[2] = (uint64_t)-110;
	CHECK(cprof_wait_events_decode(raw, 24, 522, 521, &call));
	CHECK(call.kind == CPROF_WAIT_EVENTS_EXIT && call.ret == -110);

	CHECK(!cprof_wait_events_decode(raw, 23, 522, 521, &call)); /* cut */
	raw[0] = 522;
	CHECK(!cprof_wait_events_decode(raw, 24, 522, 521, &call)); /* an entry without arguments */
	raw[0] = 7;
	CHECK(!cprof_wait_events_decode(raw, sizeof(raw), 522, 521, &call)); /* another event */
	raw[0] = 522;
	raw[1] = SYS_read;
	CHECK(!cprof_wait_events_decode(raw, sizeof(raw), 522, 521, &call)); /* another call */
	CHECK(!cprof_wait_events_decode(NULL, 0, 522, 521, &call));
}
