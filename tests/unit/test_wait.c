/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/futex.h"
#include "attach/locks/wait_names.h"
#include "attach/locks/wait_settle.h"
#include "attach/locks/wait.h"
#include "attach/locks/wait_kind.h"
#include "attach/waits/thread_runs.h"
#include "attach/waits/wait_charge.h"
#include "attach/waits/wait_stacks.h"
#include "attach/waits/wait_table.h"
#include "base/cleanup.h"
#include "cprof/hash.h"
#include "tests/unit/test.h"

#include <linux/futex.h>
#include <math.h>
#include <sys/syscall.h>

TEST(wait_weigh_gives_short_waits_the_rate_and_long_ones_themselves)
{
	/* clang-format off */
	static const struct { uint64_t delay, rate; double count, delay_ns; } cases[] = {
		{ 1000000, 1000000, 1, 1e6 },
		{ 5000000, 1000000, 1, 5e6 },
		{  250000, 1000000, 4, 1e6 },
		{       0, 1000000, 1e6, 1e6 },
		{     100,       1, 1, 100 },
		{     100,       0, 1, 100 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_wait_weight got = cprof_wait_weigh(cases[i].delay, cases[i].rate);
		if (got.count != cases[i].count || got.delay_ns != cases[i].delay_ns)
			TEST_FAIL("case %zu: %g, %g", i, got.count, got.delay_ns);
	}
}

/* A wait of which 1 ns reaches into the window is one wait, not a hundred thousand. */
TEST(wait_weigh_part_counts_the_whole_wait_and_the_time_of_its_part)
{
	/* clang-format off */
	static const struct { uint64_t delay, part, rate; double count, delay_ns; } cases[] = {
		{  250000,  250000, 1000000, 4, 1e6 },
		{  250000,       1, 1000000, 4, 4 },
		{  250000,       0, 1000000, 4, 0 },
		{ 5000000, 1000000, 1000000, 1, 1e6 },
		{ 5000000,       1,  100000, 1, 1 },
		{       0,       0, 1000000, 1e6, 1e6 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_wait_weight got =
			cprof_wait_weigh_part(cases[i].delay, cases[i].part, cases[i].rate);
		if (got.count != cases[i].count || got.delay_ns != cases[i].delay_ns)
			TEST_FAIL("case %zu: %g, %g", i, got.count, got.delay_ns);
	}
}

TEST(wait_part_is_what_lies_in_the_window)
{
	/* clang-format off */
	static const struct { uint64_t began, woken, part; } cases[] = {
		{ 110, 150, 40 },
		{  90, 150, 50 },
		{ 190, 250, 10 },
		{  50, 250, 100 },
		{  50, 100, 0 },
		{  50,  99, 0 },
		{ 200, 250, 0 },
		{ 201, 250, 0 },
		{ 150, 150, 0 },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_UINT(cprof_wait_part_ns(cases[i].began, cases[i].woken, 100, 200),
			   cases[i].part);
}

/* The law is unbiased in count and delay whatever the mixture of waits: 3,000,000 drawn, both sums within 1 %. */
TEST(wait_law_keeps_both_sums_unbiased_whatever_the_rate)
{
	static const uint64_t rates[] = { 1, 20000, 100000, 1000000 };
	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
		double count = 0, delay = 0, true_delay = 0;
		uint64_t random = 88172645463325252ull;
		const int n = 3000000;
		for (int i = 0; i < n; i++) {
			random = cprof_hash_u64(random + (uint64_t)i);
			uint64_t delay_ns = 10000 + random % 200000;
			true_delay += (double)delay_ns;
			random = cprof_hash_u64(random);
			if (!cprof_wait_keeps(delay_ns, rates[r], random))
				continue;
			struct cprof_wait_weight w = cprof_wait_weigh(delay_ns, rates[r]);
			count += w.count;
			delay += w.delay_ns;
		}
		if (fabs(count / n - 1) > 0.02 || fabs(delay / true_delay - 1) > 0.01)
			TEST_FAIL("rate %" PRIu64 ": count %g, delay %g of truth", rates[r],
				  count / n, delay / true_delay);
	}
}

TEST(wait_pace_doubles_above_its_target_and_halves_far_below)
{
	struct cprof_wait_pace pace = {
		.rate_ns = 1000, .floor_ns = 1000, .ceiling_ns = 4000, .target_per_s = 1000
	};
	CHECK_UINT(cprof_wait_pace_next(&pace, 101, 100000000, 0), 2000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 50, 100000000, 0), 2000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 0, 100000000, 1), 4000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 5000, 100000000, 0), 4000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 0, 100000000, 0), 2000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 0, 100000000, 0), 1000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 0, 100000000, 0), 1000);
	CHECK_UINT(cprof_wait_pace_next(&pace, 5000, 0, 0), 1000);
}

TEST(futex_op_tells_sleepers_from_wakers_whatever_the_flags)
{
	/* clang-format off */
	static const struct { uint32_t op; enum cprof_futex_role role; } cases[] = {
		{ 0, CPROF_FUTEX_WAITS }, { 128, CPROF_FUTEX_WAITS }, { 0x189, CPROF_FUTEX_WAITS },
		{ 0x109, CPROF_FUTEX_WAITS }, { 0x86, CPROF_FUTEX_WAITS }, { 13, CPROF_FUTEX_WAITS },
		{ 1, CPROF_FUTEX_WAKES }, { 0x81, CPROF_FUTEX_WAKES }, { 0x87, CPROF_FUTEX_WAKES },
		{ 5, CPROF_FUTEX_WAKES }, { 8, CPROF_FUTEX_OTHER }, { 2, CPROF_FUTEX_OTHER },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		CHECK_UINT(cprof_futex_op(cases[i].op)->role, cases[i].role);
	CHECK(!cprof_futex_op(14));
	CHECK(!cprof_futex_op(0x7f));
}

/* clang-format off */
static const struct {
	const char *what;
	struct cprof_wait wait;
	const char *names[4];
	enum cprof_wait_kind kind;
	size_t entry;
} kinds[] = {
	/* numbers only: a stripped program */
	{ "mutex", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "f" }, CPROF_WAIT_MUTEX, 0 },
	{ "PI", { .syscall = SYS_futex, .futex_op = 0x86 }, { "f" }, CPROF_WAIT_PI_MUTEX, 0 },
	{ "robust", { .syscall = SYS_futex, .futex_op = 0, .futex_val = 0x80001234 }, { "f" }, CPROF_WAIT_ROBUST_MUTEX, 0 },
	{ "join", { .syscall = SYS_futex, .futex_op = 0x109, .futex_val = 1234 }, { "f" }, CPROF_WAIT_JOIN, 0 },
	{ "future", { .syscall = SYS_futex, .futex_op = 0, .futex_val = 0x80000000 }, { "f" }, CPROF_WAIT_FUTURE, 0 },
	{ "rdlock", { .syscall = SYS_futex, .futex_op = 0x189, .futex_val = 3 }, { "f" }, CPROF_WAIT_RWLOCK, 0 },
	{ "condvar or semaphore", { .syscall = SYS_futex, .futex_op = 0x189 }, { "f" }, CPROF_WAIT_CONDVAR, 0 },
	{ "unknown", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 77 }, { "f" }, CPROF_WAIT_FUTEX, 0 },
	{ "no futex operation", { .syscall = SYS_futex, .futex_op = 99 }, { "f" }, CPROF_WAIT_FUTEX, 0 },
	/* names */
	{ "semaphore", { .syscall = SYS_futex, .futex_op = 0x189 }, { "__futex_abstimed_wait_common64", "__new_sem_wait_slow64", "main" }, CPROF_WAIT_SEMAPHORE, 1 },
	{ "condvar", { .syscall = SYS_futex, .futex_op = 0x189 }, { "futex_wait", "___pthread_cond_wait", "main" }, CPROF_WAIT_CONDVAR, 1 },
	{ "timedlock", { .syscall = SYS_futex, .futex_op = 0x189, .futex_val = 2 }, { "x", "__pthread_mutex_timedlock", "main" }, CPROF_WAIT_MUTEX, 1 },
	{ "wrlock", { .syscall = SYS_futex, .futex_op = 0x189, .futex_val = 2 }, { "x", "__GI___pthread_rwlock_wrlock", "main" }, CPROF_WAIT_RWLOCK, 1 },
	{ "barrier", { .syscall = SYS_futex, .futex_op = 0x80 }, { "x", "pthread_barrier_wait@@GLIBC_2.34", "main" }, CPROF_WAIT_BARRIER, 1 },
	{ "once", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 1 }, { "x", "__pthread_once_slow", "main" }, CPROF_WAIT_ONCE, 1 },
	{ "robust by name", { .syscall = SYS_futex, .futex_op = 0, .futex_val = 0x80001234 }, { "x", "__pthread_mutex_lock_full", "main" }, CPROF_WAIT_ROBUST_MUTEX, 1 },
	{ "a condvar's mutex", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "x", "pthread_cond_wait", "main" }, CPROF_WAIT_MUTEX, 1 },
	{ "a mutex below once", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "pthread_mutex_lock", "init", "__pthread_once_slow" }, CPROF_WAIT_MUTEX, 0 },
	{ "std::mutex", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "x", "pthread_mutex_lock", "std::mutex::lock" }, CPROF_WAIT_MUTEX, 2 },
	{ "GIL", { .syscall = SYS_futex, .futex_op = 0x189 }, { "x", "pthread_cond_timedwait", "take_gil" }, CPROF_WAIT_GIL, 2 },
	{ "Rust mutex", { .syscall = SYS_futex, .futex_op = 0x89, .futex_val = 2 }, { "syscall", "std::sys::sync::mutex::futex::Mutex::lock_contended", "main" }, CPROF_WAIT_MUTEX, 1 },
	{ "Rust park", { .syscall = SYS_futex, .futex_op = 0x89, .futex_val = 0xffffffff }, { "syscall", "x", "std::thread::park" }, CPROF_WAIT_PARK, 2 },
	{ "Rust rwlock, newer names", { .syscall = SYS_futex, .futex_op = 0x89, .futex_val = 77 }, { "syscall", "<std::sys::sync::rwlock::futex::RwLock>::write_contended", "main" }, CPROF_WAIT_RWLOCK, 1 },
	{ "Rust condvar, newer names", { .syscall = SYS_futex, .futex_op = 0x89, .futex_val = 2 }, { "syscall", "<std::sys::sync::condvar::futex::Condvar>::wait_optional_timeout", "main" }, CPROF_WAIT_CONDVAR, 1 },
	{ "parking_lot", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 1 }, { "syscall", "parking_lot::raw_mutex::RawMutex::lock_slow" }, CPROF_WAIT_MUTEX, 1 },
	{ "absl mutex", { .syscall = SYS_futex, .futex_op = 0x89 }, { "syscall", "AbslInternalPerThreadSemWait_debian3", "absl::debian3::Mutex::LockSlow", "absl::debian3::Mutex::Lock" }, CPROF_WAIT_MUTEX, 3 },
	{ "absl condvar without its local names", { .syscall = SYS_futex, .futex_op = 0x89 }, { "syscall", "AbslInternalPerThreadSemWait_debian3", "lib+0x51ec", "idle" }, CPROF_WAIT_CONDVAR, 1 },
	{ "who broadcasts", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 3 }, { "futex_wait", "__condvar_quiesce_and_switch_g1", "___pthread_cond_broadcast", "main" }, CPROF_WAIT_FUTEX, 2 },
	{ "GLib condition, whose counter is at two", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "syscall", "g_cond_wait", "g_async_queue_pop" }, CPROF_WAIT_CONDVAR, 1 },
	{ "GLib mutex", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "syscall", "g_mutex_lock_slowpath", "g_mutex_lock" }, CPROF_WAIT_MUTEX, 1 },
	{ "OpenMP barrier", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 8 }, { "gomp_team_barrier_wait_end", "GOMP_barrier", "main._omp_fn.0" }, CPROF_WAIT_BARRIER, 1 },
	{ "OpenMP dock", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 8 }, { "gomp_barrier_wait_end", "gomp_simple_barrier_wait", "gomp_thread_start" }, CPROF_WAIT_PARK, 0 },
	{ "Java monitor", { .syscall = SYS_futex, .futex_op = 0x189 }, { "x", "pthread_cond_wait", "ObjectMonitor::enter" }, CPROF_WAIT_MUTEX, 2 },
	{ "Go note", { .syscall = SYS_futex, .futex_op = 0x80 }, { "runtime.futex", "runtime.futexsleep", "runtime.notesleep" }, CPROF_WAIT_PARK, 2 },
	{ "Go lock", { .syscall = SYS_futex, .futex_op = 0x80, .futex_val = 2 }, { "runtime.futex", "runtime.futexsleep", "runtime.lock2" }, CPROF_WAIT_MUTEX, 2 },
	/* other system calls */
	{ "epoll", { .syscall = SYS_epoll_pwait }, { "epoll_pwait" }, CPROF_WAIT_POLL, 0 },
	{ "flock", { .syscall = SYS_flock }, { "flock" }, CPROF_WAIT_FILE_LOCK, 0 },
	{ "fault", { .syscall = CPROF_WAIT_NO_SYSCALL }, { "memcpy" }, CPROF_WAIT_PAGE_FAULT, 0 },
	{ "unheard of", { .syscall = 9999 }, { "x" }, CPROF_WAIT_OTHER, 0 },
	{ "no names", { .syscall = SYS_read }, { NULL }, CPROF_WAIT_IO, 0 },
};
/* clang-format on */

TEST(wait_kind_tells_primitives_apart_by_numbers_and_names)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		size_t n = 0, entry;
		while (n < 4 && kinds[i].names[n])
			n++;
		bool known;
		enum cprof_wait_kind kind =
			cprof_wait_names_tell(cprof_wait_kind_by_number(&kinds[i].wait),
					      kinds[i].names, n, &entry, &known);
		if (kind != kinds[i].kind || entry != kinds[i].entry)
			TEST_FAIL("%s: %s, entry %zu", kinds[i].what, cprof_wait_kind_name(kind),
				  entry);
	}
}

TEST(wait_kind_knows_releases_of_parking_lot_however_they_are_inlined)
{
	static const char *const names[] = {
		"syscall",
		"<parking_lot::raw_mutex::RawMutex as lock_api::mutex::RawMutex>::unlock",
		"<lock_api::mutex::MutexGuard<R,T> as core::ops::drop::Drop>::drop"
	};
	size_t entry;
	bool known;
	CHECK_UINT(cprof_wait_names_tell_release(CPROF_WAIT_FUTEX, names, 3, &entry, &known),
		   CPROF_WAIT_MUTEX);
	CHECK_UINT(entry, 1);
	CHECK(cprof_wait_names_know(names[1], true) && !cprof_wait_names_know(names[2], true));
	CHECK(cprof_wait_names_know("___pthread_mutex_lock", false) &&
	      !cprof_wait_names_know("my_lock", false));
}

TEST(wait_kind_has_a_name_for_every_kind)
{
	for (enum cprof_wait_kind kind = 0; kind < CPROF_WAIT_KIND_N; kind++)
		CHECK(cprof_wait_kind_name(kind));
	CHECK(cprof_wait_kind_contends(CPROF_WAIT_MUTEX));
	CHECK(!cprof_wait_kind_contends(CPROF_WAIT_CONDVAR));
}

/* Three wait since 0, 10 and 20; releases at 100 and 150; a fourth gives up in between, after 15. */
TEST(wait_charge_charges_every_nanosecond_of_waiting_once)
{
	struct cprof_wait_charge charge = { 0 };
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 0));
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 10));
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 20));
	CHECK(!cprof_wait_charge_begin(&charge, 0x2000, 50));

	CHECK_UINT(cprof_wait_charge_release(&charge, 0x1000, 1, 100), 100 + 90 + 80);
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 120));
	cprof_wait_charge_abandon(&charge, 0x1000, 120, 135);
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x1000, 2, 150), 50 + 50 + 15);
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x1000, 1, 200), 0);
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x2000, 5, 60), 10);
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x3000, 1, 60), 0);
	cprof_wait_charge_deinit(&charge);
}

TEST(wait_charge_lets_the_next_release_pay_for_who_gave_up_since_the_last_one)
{
	struct cprof_wait_charge charge = { 0 };
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 0));
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 0));
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x1000, 1, 10), 20);
	cprof_wait_charge_abandon(&charge, 0x1000, 0, 17);                /* 7 since the release */
	cprof_wait_charge_abandon(&charge, 0x1000, 0, 18);                /* nobody waits */
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x1000, 1, 30), 0); /* nor is woken */
	CHECK(!cprof_wait_charge_begin(&charge, 0x1000, 40));
	CHECK_UINT(cprof_wait_charge_release(&charge, 0x1000, 1, 45), 5 + 7);
	cprof_wait_charge_deinit(&charge);
}

TEST(wait_table_adds_equal_rows_and_keeps_different_locks_apart)
{
	struct cprof_wait_table table = { 0 };
	struct cprof_wait wait = { .tid = 7,
				   .syscall = SYS_futex,
				   .futex_op = 0x80,
				   .futex_val = 2,
				   .addr = 0x1000,
				   .count = 1.5,
				   .delay_ns = 10 };
	CHECK(!cprof_wait_table_add(&table, &wait, 0, NULL));
	CHECK(!cprof_wait_table_add(&table, &wait, 0, NULL));
	wait.addr = 0x2000;
	CHECK(!cprof_wait_table_add(&table, &wait, 0, NULL));
	CHECK(!cprof_wait_table_add(&table, &wait, 1, NULL));
	CHECK_UINT(table.n_rows, 3);
	CHECK(table.rows[0].count == 3.0 && table.rows[0].delay_ns == 20.0);
	cprof_wait_table_deinit(&table);
}

TEST(wait_table_moves_what_is_open_to_a_row_that_says_so)
{
	struct cprof_wait_table table = { 0 };
	struct cprof_wait wait = { .syscall = SYS_futex, .addr = 8, .count = 3, .delay_ns = 30 };
	uint32_t row, open;
	CHECK(!cprof_wait_table_add(&table, &wait, 0, &row));
	CHECK(!cprof_wait_table_open(&table, row, 1, 12, &open));
	CHECK(!cprof_wait_table_open(&table, row, 1, 8, &open));
	CHECK_UINT(table.n_rows, 2);
	CHECK_UINT(open, 1);
	CHECK(!table.rows[0].open && table.rows[0].count == 1 && table.rows[0].delay_ns == 10);
	CHECK(table.rows[1].open && table.rows[1].count == 2 && table.rows[1].delay_ns == 20);
	CHECK_UINT(table.rows[1].addr, 8);
	cprof_wait_table_deinit(&table);
}

TEST(wait_table_stays_bounded_when_every_wait_has_a_lock_of_its_own)
{
	struct cprof_wait_table table = { 0 };
	struct cprof_wait wait = { .syscall = SYS_futex, .count = 1, .delay_ns = 1 };
	double count = 0;
	for (uint32_t i = 0; i < 2 * CPROF_WAIT_TABLE_MAX; i++) {
		wait.addr = 8ull * i;
		CHECK(!cprof_wait_table_add(&table, &wait, i % 16, NULL));
	}
	CHECK(table.n_rows <= CPROF_WAIT_TABLE_MAX + 16);
	CHECK_UINT(table.coarse, CPROF_WAIT_TABLE_MAX);
	for (uint32_t i = 0; i < table.n_rows; i++)
		count += table.rows[i].count;
	CHECK(count == 2.0 * CPROF_WAIT_TABLE_MAX);
	cprof_wait_table_deinit(&table);
}

/* ---- whose stack a wait bears ---- */

static struct cprof_wait wait_of(uint32_t tid, uint64_t addr, double delay_ns)
{
	return (struct cprof_wait){ .tid = tid,
				    .syscall = SYS_futex,
				    .futex_op = 0x80,
				    .addr = addr,
				    .delay_ns = delay_ns };
}

TEST(wait_stacks_give_a_wait_the_stack_of_the_last_one_that_is_most_alike)
{
	static const struct {
		const char *what;
		uint32_t tid;
		uint64_t addr;
		double delay_ns;
		uint32_t want;
	} cases[] = {
		{ "thread, lock and length", 1, 0x10, 1100, 7 },
		{ "at the shortest within a factor of two", 1, 0x10, 1024, 7 },
		{ "the other length", 1, 0x10, 600000, 8 },
		{ "any length: the last one", 1, 0x10, 5e9, 8 },
		{ "no length at all", 1, 0x10, 0, 8 },
		{ "another thread at this lock", 2, 0x10, 1100, 8 },
		{ "another lock", 1, 0x20, 1100, CPROF_WAIT_STACKS_NONE },
	};
	struct cprof_wait_stacks stacks = { 0 };
	const struct cprof_wait brief = wait_of(1, 0x10, 2000), slow = wait_of(1, 0x10, 900000);
	CHECK_UINT(cprof_wait_stacks_find(&stacks, &brief), CPROF_WAIT_STACKS_NONE);
	CHECK(!cprof_wait_stacks_note(&stacks, &brief, 6));
	CHECK(!cprof_wait_stacks_note(&stacks, &brief, 7));
	CHECK(!cprof_wait_stacks_note(&stacks, &slow, 8));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct cprof_wait wait =
			wait_of(cases[i].tid, cases[i].addr, cases[i].delay_ns);
		if (cprof_wait_stacks_find(&stacks, &wait) != cases[i].want)
			TEST_FAIL("%s", cases[i].what);
	}
	struct cprof_wait moved = brief;
	moved.requeued = true;
	CHECK_UINT(cprof_wait_stacks_find(&stacks, &moved), CPROF_WAIT_STACKS_NONE);
	cprof_wait_stacks_deinit(&stacks);
}

static void add_hundred(void *ctx, uint32_t *row)
{
	unsigned *n = ctx;
	*row += 100;
	++*n;
}

TEST(wait_stacks_stay_bounded_and_follow_rows_that_get_other_numbers)
{
	struct cprof_wait_stacks stacks = { 0 };
	unsigned n = 0;
	for (uint64_t i = 0; i < 200000; i++) {
		const struct cprof_wait wait = wait_of((uint32_t)i, i * 64, 10);
		CHECK(!cprof_wait_stacks_note(&stacks, &wait, (uint32_t)i));
	}
	CHECK(stacks.n_rows <= 65536 && stacks.by_likeness.len <= 65536);
	const struct cprof_wait last = wait_of(199999, UINT64_C(199999) * 64, 10);
	CHECK_UINT(cprof_wait_stacks_find(&stacks, &last), 199999);
	cprof_wait_stacks_each_row(&stacks, add_hundred, &n);
	CHECK_UINT(n, stacks.n_rows);
	CHECK_UINT(cprof_wait_stacks_find(&stacks, &last), 200099);
	cprof_wait_stacks_deinit(&stacks);
}

/* ---- threads as ranges ---- */

TEST(thread_runs_are_the_fewest_ranges_that_hold_all_threads_and_those_to_come)
{
	static const struct {
		const char *what;
		pid_t tids[12];
		size_t n;
		const char *want;
	} cases[] = {
		{ "none", { 0 }, 0, "common_pid > 900" },
		{ "one", { 5 }, 1, "common_pid > 900 || common_pid == 5" },
		{ "in a row, in any order, twice",
		  { 7, 5, 6, 6 },
		  4,
		  "common_pid > 900 || common_pid >= 5 && common_pid <= 7" },
		{ "apart",
		  { 5, 20, 21 },
		  3,
		  "common_pid > 900 || common_pid == 5 || common_pid >= 20 && common_pid <= 21" },
		{ "more ranges than there is room for: the nearest are one",
		  { 10, 20, 30, 40, 52, 50, 70, 80, 90 },
		  9,
		  "common_pid > 900 || common_pid == 10 || common_pid == 20 || common_pid == 30 || "
		  "common_pid == 40 || common_pid >= 50 && common_pid <= 52 || common_pid == 70 || "
		  "common_pid == 80 || common_pid == 90" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		struct cprof_thread_runs runs;
		pid_t tids[12];
		memcpy(tids, cases[i].tids, sizeof(tids));
		cprof_thread_runs_of(tids, cases[i].n, 900, &runs);
		cprof_thread_runs_filter(&runs, &text);
		if (strcmp(cprof_buffer_text(&text), cases[i].want) != 0)
			TEST_FAIL("%s: %s", cases[i].what, cprof_buffer_text(&text));
		for (size_t k = 0; k < cases[i].n; k++)
			CHECK(cprof_thread_runs_has(&runs, (uint32_t)cases[i].tids[k]));
		CHECK(cprof_thread_runs_has(&runs, 901) && !cprof_thread_runs_has(&runs, 900));
		CHECK(!cprof_thread_runs_has(&runs, 4));
	}
}

TEST(thread_runs_hold_thousands_of_threads_that_lie_apart)
{
	struct cprof_thread_runs runs;
	pid_t tids[5000];
	for (int i = 0; i < 5000; i++)
		tids[i] = 10 + i * 3;
	cprof_thread_runs_of(tids, 5000, 20000, &runs);
	CHECK(runs.n <= CPROF_THREAD_RUNS_MAX);
	for (uint32_t i = 0; i < 5000; i++)
		CHECK(cprof_thread_runs_has(&runs, 10 + i * 3));
	CHECK(!cprof_thread_runs_has(&runs, 9) && !cprof_thread_runs_has(&runs, 19999));
}
