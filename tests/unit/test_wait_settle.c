/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/wait_evidence.h"
#include "attach/locks/wait_settle.h"
#include "tests/unit/test.h"

#include <sys/syscall.h>

#define WORD 0x1000u

static struct cprof_wait wait_of(uint32_t tid, uint32_t value, uint32_t waker)
{
	return (struct cprof_wait){ .tid = tid,
				    .syscall = SYS_futex,
				    .futex_op = 0x80,
				    .futex_val = value,
				    .addr = WORD,
				    .waker_tid = waker,
				    .count = 1,
				    .delay_ns = 1 };
}

static void note(struct cprof_wait_evidences *all, uint32_t tid, uint32_t value, uint32_t waker,
		 int64_t word)
{
	struct cprof_wait wait = wait_of(tid, value, waker);
	wait.has_word = word >= 0;
	wait.word = (uint32_t)word;
	CHECK(!cprof_wait_evidence_note(all, &wait));
}

TEST(wait_evidence_counts_threads_wakes_and_values_of_each_word)
{
	struct cprof_wait_evidences all = { 0 };
	note(&all, 1, 5, 9, 6);
	note(&all, 2, 5, 9, 6);
	note(&all, 2, 6, 9, 7);
	const struct cprof_wait_evidence *word = cprof_wait_evidence_get(&all, WORD);
	CHECK_UINT(word->waits, 3);
	CHECK_UINT(word->others, 1);
	CHECK_UINT(word->threads, 2);
	CHECK_UINT(word->wakes, 3);
	CHECK_UINT(word->odd, 3);
	CHECK(!word->crossed);
	CHECK(cprof_wait_evidence_counts(word));
	CHECK_UINT(cprof_wait_evidence_get(&all, WORD + 4)->waits, 0);
	struct cprof_wait poll = wait_of(1, 5, 9);
	poll.syscall = SYS_read;
	CHECK(!cprof_wait_evidence_note(&all, &poll));
	CHECK_UINT(cprof_wait_evidence_get(&all, WORD)->waits, 3);
	cprof_wait_evidence_deinit(&all);
}

TEST(wait_evidence_knows_a_lock_by_who_releases_it_and_by_its_states)
{
	/* value, then (tid, waker, word) of three waits; word -1: not read */
	static const struct {
		const char *what;
		uint32_t value;
		int64_t waits[3][3];
		bool locks, counts;
	} cases[] = {
		{ "held and waited for, goes free",
		  2,
		  { { 1, 9, 0 }, { 1, 9, 1 }, { 1, 9, 2 } },
		  true,
		  false },
		{ "nobody has seen it go free",
		  2,
		  { { 1, 9, -1 }, { 1, 9, -1 }, { 1, 9, -1 } },
		  false,
		  false },
		{ "a counter that stands at two",
		  2,
		  { { 1, 9, 3 }, { 1, 9, 3 }, { 1, 9, 4 } },
		  false,
		  true },
		{ "two bits", 3, { { 1, 9, 0 }, { 2, 9, 1 }, { 3, 9, 3 } }, true, false },
		{ "a counter that stands at three",
		  3,
		  { { 1, 9, 4 }, { 2, 9, 4 }, { 3, 9, 4 } },
		  false,
		  true },
		{ "held, and its waiters release it",
		  1,
		  { { 1, 2, -1 }, { 2, 1, -1 }, { 1, 2, -1 } },
		  true,
		  false },
		{ "a parking place", 1, { { 1, 9, 0 }, { 1, 9, 0 }, { 1, 8, 0 } }, false, false },
		{ "a flag of work", 0, { { 1, 2, 1 }, { 2, 1, 1 }, { 1, 2, 1 } }, false, true },
		{ "any number", 77, { { 1, 2, 0 }, { 2, 1, 0 }, { 1, 2, 0 } }, false, false },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_wait_evidences all = { 0 };
		for (int k = 0; k < 3; k++)
			note(&all, (uint32_t)cases[i].waits[k][0], cases[i].value,
			     (uint32_t)cases[i].waits[k][1], cases[i].waits[k][2]);
		const struct cprof_wait_evidence *word = cprof_wait_evidence_get(&all, WORD);
		if (cprof_wait_evidence_locks(word) != cases[i].locks ||
		    cprof_wait_evidence_counts(word) != cases[i].counts)
			TEST_FAIL("%s", cases[i].what);
		cprof_wait_evidence_deinit(&all);
	}
}

TEST(wait_evidence_stays_bounded)
{
	struct cprof_wait_evidences all = { 0 };
	for (uint64_t i = 0; i < CPROF_WAIT_EVIDENCE_MAX + 100; i++) {
		struct cprof_wait wait = wait_of(1, 2, 0);
		wait.addr = WORD + i * 8;
		CHECK(!cprof_wait_evidence_note(&all, &wait));
	}
	CHECK_UINT(all.n_words, CPROF_WAIT_EVIDENCE_MAX);
	cprof_wait_evidence_deinit(&all);
}

TEST(wait_settle_finds_locks_words_in_names)
{
	static const struct {
		const char *name;
		bool lock, unlock;
	} cases[] = {
		{ "drepper_lock", true, false },          { "LockSlow", true, false },
		{ "my::SpinLock::Acquire", true, false }, { "bits_unlock", false, true },
		{ "SpinMutex::Enter", true, true },       { "lock", true, false },
		{ "clock_block", false, false },          { "deadlocked", false, false },
		{ "LockFreeQueue::pop", false, false },   { "lock_free_lock", true, false },
		{ "Box<std::mutex>::pop", false, false }, { "", false, false },
		{ "pool+0x123", false, false },           { "a>b", false, false },
		{ "unlockSlowCase", false, true },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cprof_wait_settle_names_lock(cases[i].name, false) != cases[i].lock ||
		    cprof_wait_settle_names_lock(cases[i].name, true) != cases[i].unlock)
			TEST_FAIL("%s", cases[i].name);
	}
}

#define NUMBERS(kind) .told = (kind), .by_number = (kind), .tells_wakes = true
static const struct cprof_wait_evidence none,
	lock = { .value = 2, .waits = 5, .threads = 1, .words = 5 },
	counter = { .value = 2, .waits = 9, .others = 8 },
	crossed = { .value = 1, .waits = 9, .threads = 3, .crossed = true },
	many = { .waits = 9, .threads = 5 }, single = { .waits = 9, .threads = 1 },
	untold = { .waits = 9, .threads = 5, .untold = 9 },
	mostly_told = { .waits = 9, .threads = 5, .wakes = 6, .untold = 3 },
	shared = { .waits = 9, .threads = 5, .crossed = true },
	gomp = { .value = 0xffffffff, .waits = 3 }, musl = { .value = 0x80000010, .waits = 3 };

/* clang-format off */
static const struct {
	const char *what;
	struct cprof_wait_settle_input input;
	const char *names[4];
	enum cprof_wait_kind kind;
	bool contends;
} verdicts[] = {
	{ "value two, nothing else", { NUMBERS(CPROF_WAIT_MUTEX), .evidence = &none }, { "f" }, CPROF_WAIT_MUTEX, true },
	{ "value two, a lock", { NUMBERS(CPROF_WAIT_MUTEX), .evidence = &lock }, { "f" }, CPROF_WAIT_MUTEX, true },
	{ "value two, a counter", { NUMBERS(CPROF_WAIT_MUTEX), .evidence = &counter }, { "f" }, CPROF_WAIT_PARK, false },
	{ "a counter with a lock's name", { NUMBERS(CPROF_WAIT_MUTEX), .evidence = &counter }, { "syscall", "ticket_lock" }, CPROF_WAIT_MUTEX, true },
	{ "TBB's idle workers", { NUMBERS(CPROF_WAIT_MUTEX), .evidence = &lock, .module = "/usr/lib/x86_64-linux-gnu/libtbb.so.12.8" }, { "syscall", "libtbb.so.12.8+0x1" }, CPROF_WAIT_PARK, false },
	{ "a futex of nobody", { NUMBERS(CPROF_WAIT_FUTEX), .evidence = &none }, { "syscall", "f" }, CPROF_WAIT_PARK, false },
	{ "a lock's name", { NUMBERS(CPROF_WAIT_FUTEX), .evidence = &none }, { "syscall", "futex_wait", "my_lock" }, CPROF_WAIT_MUTEX, true },
	{ "a lock further out than the queue", { NUMBERS(CPROF_WAIT_FUTEX), .evidence = &none }, { "syscall", "queue_pop", "with_lock" }, CPROF_WAIT_PARK, false },
	{ "used as a lock", { NUMBERS(CPROF_WAIT_FUTEX), .evidence = &crossed }, { "syscall", "f" }, CPROF_WAIT_MUTEX, true },
	{ "libgomp's dock", { NUMBERS(CPROF_WAIT_FUTEX), .evidence = &crossed, .module = "/x/libgomp-a34b.so.1" }, { "libgomp-a34b.so.1+0x2" }, CPROF_WAIT_PARK, false },
	{ "libgomp's lock", { NUMBERS(CPROF_WAIT_ROBUST_MUTEX), .evidence = &gomp, .module = "libgomp.so.1" }, { "libgomp.so.1+0x2" }, CPROF_WAIT_MUTEX, true },
	{ "Rust's parking place without names", { NUMBERS(CPROF_WAIT_ROBUST_MUTEX), .evidence = &gomp }, { "f" }, CPROF_WAIT_PARK, false },
	{ "musl's mutex without names", { NUMBERS(CPROF_WAIT_ROBUST_MUTEX), .evidence = &musl }, { "f" }, CPROF_WAIT_MUTEX, true },
	{ "robust, its owner lives", { NUMBERS(CPROF_WAIT_ROBUST_MUTEX), .evidence = &none, .owner_lives = true }, { "f" }, CPROF_WAIT_ROBUST_MUTEX, true },
	{ "a joined thread", { NUMBERS(CPROF_WAIT_JOIN), .evidence = &none, .owner_lives = true }, { "f" }, CPROF_WAIT_JOIN, true },
	{ "no thread's number", { NUMBERS(CPROF_WAIT_JOIN), .evidence = &none }, { "f" }, CPROF_WAIT_PARK, false },
	{ "PI", { NUMBERS(CPROF_WAIT_PI_MUTEX), .evidence = &counter }, { "f" }, CPROF_WAIT_PI_MUTEX, true },
	{ "a pool's semaphore", { .told = CPROF_WAIT_SEMAPHORE, .known = true, .tells_wakes = true, .evidence = &many }, { "sem_wait" }, CPROF_WAIT_SEMAPHORE, false },
	{ "a semaphore that limits", { .told = CPROF_WAIT_SEMAPHORE, .known = true, .tells_wakes = true, .evidence = &shared }, { "sem_wait" }, CPROF_WAIT_SEMAPHORE, true },
	{ "a semaphore whose posts nobody saw", { .told = CPROF_WAIT_SEMAPHORE, .known = true, .tells_wakes = true, .evidence = &untold }, { "sem_wait" }, CPROF_WAIT_SEMAPHORE, true },
	{ "a pool some of whose posts nobody saw", { .told = CPROF_WAIT_SEMAPHORE, .known = true, .tells_wakes = true, .evidence = &mostly_told }, { "sem_wait" }, CPROF_WAIT_SEMAPHORE, false },
	{ "a semaphore with one waiter", { .told = CPROF_WAIT_SEMAPHORE, .known = true, .tells_wakes = true, .evidence = &single }, { "sem_wait" }, CPROF_WAIT_SEMAPHORE, true },
	{ "nobody tells who posts", { .told = CPROF_WAIT_SEMAPHORE, .known = true, .evidence = &many }, { "sem_wait" }, CPROF_WAIT_SEMAPHORE, true },
	{ "Python's queue", { .told = CPROF_WAIT_MUTEX, .by_number = CPROF_WAIT_CONDVAR, .known = true, .tells_wakes = true, .evidence = &many }, { "PyThread_acquire_lock_timed" }, CPROF_WAIT_SEMAPHORE, false },
	{ "Python's lock", { .told = CPROF_WAIT_MUTEX, .by_number = CPROF_WAIT_CONDVAR, .known = true, .tells_wakes = true, .evidence = &shared }, { "PyThread_acquire_lock_timed" }, CPROF_WAIT_MUTEX, true },
	{ "a mutex by name", { .told = CPROF_WAIT_MUTEX, .by_number = CPROF_WAIT_MUTEX, .known = true, .evidence = &counter }, { "pthread_mutex_lock" }, CPROF_WAIT_MUTEX, true },
	{ "std::atomic's wait", { .told = CPROF_WAIT_ATOMIC, .known = true, .evidence = &none }, { "std::__detail::__platform_wait", "consume" }, CPROF_WAIT_ATOMIC, false },
	{ "a lock made of it", { .told = CPROF_WAIT_ATOMIC, .known = true, .evidence = &none }, { "std::__detail::__platform_wait", "Mutex::take" }, CPROF_WAIT_MUTEX, true },
	{ "a release from the state of a lock", { NUMBERS(CPROF_WAIT_FUTEX), .releases = true, .evidence = &crossed }, { "f" }, CPROF_WAIT_MUTEX, true },
	{ "a release by one thread", { NUMBERS(CPROF_WAIT_FUTEX), .releases = true, .evidence = &single }, { "f" }, CPROF_WAIT_PARK, false },
	{ "an unlock's name", { NUMBERS(CPROF_WAIT_FUTEX), .releases = true, .evidence = &none }, { "syscall", "my_unlock" }, CPROF_WAIT_MUTEX, true },
};
/* clang-format on */

TEST(wait_settle_takes_a_futex_for_a_lock_only_where_something_says_so)
{
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++) {
		struct cprof_wait_settle_input input = verdicts[i].input;
		input.names = verdicts[i].names;
		while (input.n_names < 4 && input.names[input.n_names])
			input.n_names++;
		if (!input.module)
			input.module = "";
		const struct cprof_wait_verdict verdict = cprof_wait_settle(&input);
		if (verdict.kind != verdicts[i].kind || verdict.contends != verdicts[i].contends)
			TEST_FAIL("%s: %s, %s", verdicts[i].what,
				  cprof_wait_kind_name(verdict.kind),
				  verdict.contends ? "contends" : "parked");
	}
}

TEST(wait_settle_knows_the_c_library_by_its_file)
{
	CHECK(cprof_wait_settle_is_libc("/usr/lib/x86_64-linux-gnu/libc.so.6"));
	CHECK(cprof_wait_settle_is_libc("/lib/ld-musl-x86_64.so.1"));
	CHECK(cprof_wait_settle_is_libc("/lib/x86_64-linux-gnu/libc-2.31.so"));
	CHECK(!cprof_wait_settle_is_libc("/usr/lib/libcurl.so.4"));
	CHECK(!cprof_wait_settle_is_libc(""));
}
