/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/lock_graph.h"
#include "attach/locks/lock_wait.h"
#include "attach/locks/lock_word.h"
#include "tests/unit/test.h"

#include <linux/futex.h>
#include <sys/syscall.h>

/* Target memory: 128 bytes at BASE. */
#define BASE 0x5000u
struct bytes {
	uint32_t words[32];
};

static bool read_bytes(void *ctx, uint64_t addr, void *buf, size_t n)
{
	if (addr < BASE || addr > BASE + sizeof(struct bytes) ||
	    n > BASE + sizeof(struct bytes) - addr)
		return false;
	memcpy(buf, (const char *)ctx + (addr - BASE), n);
	return true;
}

/* The target's own threads 11, 12 and 13 are 1011, 1012 and 1013 to us: another pid namespace. */
static pid_t thread_of(void *ctx, pid_t ns_tid)
{
	(void)ctx;
	return ns_tid >= 11 && ns_tid <= 13 ? ns_tid + 1000 : 0;
}

TEST(lock_word_tells_every_glibc_mutex_type)
{
	/* clang-format off */
	static const struct {
		const char *what;
		uint32_t words[6]; /* lock, count, owner, nusers, kind, spins */
		enum cprof_lock_kind kind;
		pid_t owner;
		bool plausible, died;
	} cases[] = {
		{ "normal", { 2, 0, 11, 1, 0, 0 }, CPROF_LOCK_MUTEX, 11, true, false },
		{ "normal, process-shared", { 2, 0, 11, 1, 128, 0 }, CPROF_LOCK_MUTEX, 11, true, false },
		{ "recursive, twice", { 2, 2, 11, 1, 1, 0 }, CPROF_LOCK_MUTEX_RECURSIVE, 11, true, false },
		{ "errorcheck", { 2, 0, 11, 1, 2, 0 }, CPROF_LOCK_MUTEX_ERRORCHECK, 11, true, false },
		{ "adaptive, with spins", { 2, 0, 11, 1, 3, 10 }, CPROF_LOCK_MUTEX_ADAPTIVE, 11, true, false },
		{ "PI", { 0x8000000b, 0, 11, 1, 0x20, 0 }, CPROF_LOCK_MUTEX_PI, 11, true, false },
		{ "robust", { 0x8000000c, 0, 12, 1, 0x10, 0 }, CPROF_LOCK_MUTEX_ROBUST, 12, true, false },
		{ "robust, owner died", { 0xc0000000, 0, 12, 1, 0x10, 0 }, CPROF_LOCK_MUTEX_ROBUST, 0, true, true },
		{ "free", { 0, 0, 0, 0, 0, 0 }, CPROF_LOCK_MUTEX, 0, true, false },
		{ "free with an owner: no mutex", { 0, 0, 11, 1, 0, 0 }, CPROF_LOCK_MUTEX, 11, false, false },
		{ "normal with a count: no mutex", { 2, 7, 11, 1, 0, 0 }, CPROF_LOCK_MUTEX, 11, false, false },
		{ "lock word 3: no mutex", { 3, 0, 11, 1, 0, 0 }, CPROF_LOCK_MUTEX, 11, false, false },
		{ "kind with strange bits: no mutex", { 2, 0, 11, 1, 0x4000, 0 }, CPROF_LOCK_MUTEX, 11, false, false },
		{ "pointers: no mutex", { 2, 0x7f00, 0x80001234, 0x7fff, 0, 0 }, CPROF_LOCK_MUTEX, -2147478988, false, false },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		struct cprof_lock_word word;
		memcpy(&bytes.words[4], cases[i].words, sizeof(cases[i].words));
		CHECK(cprof_lock_word_glibc_mutex(&memory, BASE + 16, &word));
		if (word.plausible != cases[i].plausible || word.kind != cases[i].kind ||
		    word.owner != cases[i].owner || word.owner_died != cases[i].died)
			TEST_FAIL("%s: kind %s owner %d plausible %d died %d", cases[i].what,
				  cprof_lock_kind_name(word.kind), word.owner, word.plausible,
				  word.owner_died);
	}
}

TEST(lock_word_is_told_unreadable_memory)
{
	struct bytes bytes = { 0 };
	struct cprof_memory memory = { read_bytes, &bytes };
	struct cprof_lock_word word;
	CHECK(!cprof_lock_word_glibc_mutex(&memory, BASE + 112, &word));
	CHECK(!cprof_lock_word_glibc_rwlock(&memory, BASE + 100, &word));
	CHECK(!cprof_lock_word_musl_mutex(&memory, BASE, &word));
	CHECK(!cprof_lock_word_owned(&memory, 0, &word));
	CHECK(!cprof_lock_word_owned(&memory, UINT64_MAX, &word));
}

struct wait_case {
	const char *what;
	int64_t nr;
	uint64_t args[4];
	const char *names[3];
	uint32_t words[16]; /* at BASE */
	enum cprof_lock_kind kind;
	uint64_t addr;
	pid_t owner, gone;
	uint32_t readers;
	bool timed;
};

#define PRIVATE_WAIT   0x80
#define PRIVATE_BITSET 0x189
#define LOCK_PI        0x86
#define SHARED_BITSET  0x109

/* clang-format off */
static const struct wait_case wait_cases[] = {
	{ "normal mutex", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "__lll_lock_wait", "pthread_mutex_lock", "work" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 1012, 0, 0, false },
	{ "mutex without names: the words are enough", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "", "", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 1012, 0, 0, false },
	{ "no names and no living owner: just a futex", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "", "", "" },
	  { 2, 0, 99, 1, 0 }, CPROF_LOCK_FUTEX, BASE, 0, 0, 0, false },
	{ "no names and value 1: just a futex", SYS_futex, { BASE, PRIVATE_WAIT, 1 }, { "", "", "" },
	  { 1, 0, 12, 1, 0 }, CPROF_LOCK_FUTEX, BASE, 0, 0, 0, false },
	{ "mutex whose owner has ended", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "pthread_mutex_lock", "", "" },
	  { 2, 0, 99, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 0, 99, 0, false },
	{ "mutex with a timeout", SYS_futex, { BASE, PRIVATE_BITSET, 2, 0x7ffc }, { "__futex_abstimed_wait", "pthread_mutex_timedlock", "" },
	  { 2, 0, 11, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 1011, 0, 0, true },
	{ "recursive mutex", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "pthread_mutex_lock", "", "" },
	  { 2, 3, 13, 1, 1 }, CPROF_LOCK_MUTEX_RECURSIVE, BASE, 1013, 0, 0, false },
	{ "PI mutex", SYS_futex, { BASE, LOCK_PI, 0 }, { "pthread_mutex_lock", "", "" },
	  { 0x8000000b, 0, 11, 1, 0x20 }, CPROF_LOCK_MUTEX_PI, BASE, 1011, 0, 0, false },
	{ "robust mutex", SYS_futex, { BASE, 0, 0x8000000c }, { "pthread_mutex_lock", "", "" },
	  { 0x8000000c, 0, 12, 1, 0x10 }, CPROF_LOCK_MUTEX_ROBUST, BASE, 1012, 0, 0, false },
	{ "mutex taken again after a condition", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "", "pthread_cond_wait", "work" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 1012, 0, 0, false },
	{ "condition variable", SYS_futex, { BASE + 40, PRIVATE_BITSET, 0 }, { "", "pthread_cond_wait", "work" },
	  { 0 }, CPROF_LOCK_CONDVAR, BASE + 40, 0, 0, 0, false },
	{ "condition variable with thread ids behind it", SYS_futex, { BASE, PRIVATE_BITSET, 0 }, { "pthread_cond_timedwait", "", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_CONDVAR, BASE, 0, 0, 0, false },
	{ "semaphore with a thread id behind it", SYS_futex, { BASE, PRIVATE_BITSET, 0 }, { "do_futex_wait", "__new_sem_wait_slow", "" },
	  { 0, 0, 12, 1, 0 }, CPROF_LOCK_SEMAPHORE, BASE, 0, 0, 0, false },
	{ "malloc's lock with a thread id behind it", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "__lll_lock_wait_private", "malloc", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_INTERNAL, BASE, 0, 0, 0, false },
	{ "rwlock, reader behind a writer", SYS_futex, { BASE + 8, PRIVATE_BITSET, 3 }, { "__futex_wait", "pthread_rwlock_rdlock", "" },
	  { 11, 0, 3, 1, 0, 0, 12, 0 }, CPROF_LOCK_RWLOCK_READ, BASE, 1012, 0, 0, false },
	{ "rwlock, writer behind a writer", SYS_futex, { BASE + 12, PRIVATE_BITSET, 3 }, { "pthread_rwlock_wrlock", "", "" },
	  { 3, 1, 1, 3, 0, 0, 11, 0 }, CPROF_LOCK_RWLOCK_WRITE, BASE, 1011, 0, 0, false },
	{ "rwlock, writer behind two readers", SYS_futex, { BASE + 8, PRIVATE_BITSET, 2 }, { "pthread_rwlock_wrlock", "", "" },
	  { 18, 0, 2, 1, 0, 0, 0, 0 }, CPROF_LOCK_RWLOCK_WRITE, BASE, 0, 0, 2, false },
	{ "rwlock whose words are nonsense", SYS_futex, { BASE + 8, PRIVATE_BITSET, 3 }, { "pthread_rwlock_rdlock", "", "" },
	  { 11, 0, 77, 1, 0, 0, 12, 0 }, CPROF_LOCK_RWLOCK_READ, BASE + 8, 0, 0, 0, false },
	{ "join", SYS_futex, { BASE, SHARED_BITSET, 13 }, { "__pthread_clockjoin_ex", "", "" },
	  { 13 }, CPROF_LOCK_JOIN, BASE, 1013, 0, 0, false },
	{ "join without names", SYS_futex, { BASE, SHARED_BITSET, 13 }, { "", "", "" },
	  { 13 }, CPROF_LOCK_JOIN, BASE, 1013, 0, 0, false },
	{ "a private futex with a thread id in it is no join", SYS_futex, { BASE, PRIVATE_BITSET, 13 }, { "", "", "" },
	  { 13 }, CPROF_LOCK_FUTEX, BASE, 0, 0, 0, false },
	{ "musl normal mutex: 16 is EBUSY, not a thread", SYS_futex, { BASE + 4, PRIVATE_WAIT, 0x80000010 }, { "__timedwait", "pthread_mutex_lock", "" },
	  { 0, 0x80000010, 1 }, CPROF_LOCK_MUTEX, BASE, 0, 0, 0, false },
	{ "musl recursive mutex", SYS_futex, { BASE + 4, PRIVATE_WAIT, 0x8000000b }, { "__timedwait", "pthread_mutex_lock", "" },
	  { 1, 0x8000000b, 1 }, CPROF_LOCK_MUTEX_RECURSIVE, BASE, 1011, 0, 0, false },
	{ "Rust mutex with a thread id behind it", SYS_futex, { BASE, PRIVATE_BITSET, 2 }, { "syscall", "std::sys::sync::mutex::futex::Mutex::lock_contended", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_MUTEX_RUST, BASE, 0, 0, 0, false },
	{ "Rust mutex, v0 name", SYS_futex, { BASE, PRIVATE_BITSET, 2 }, { "syscall", "std::sys::pal::unix::futex::futex_wait", "<std::sys::sync::mutex::futex::Mutex>::lock_contended" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_MUTEX_RUST, BASE, 0, 0, 0, false },
	{ "Rust rwlock: not glibc's words", SYS_futex, { BASE + 8, PRIVATE_BITSET, 3 }, { "syscall", "futex_wait", "<std::sys::sync::rwlock::futex::RwLock>::read_contended" },
	  { 11, 0, 3, 1, 0, 0, 12, 0 }, CPROF_LOCK_RWLOCK_READ, BASE + 8, 0, 0, 0, false },
	{ "Rust rwlock, writer", SYS_futex, { BASE + 8, PRIVATE_BITSET, 2 }, { "syscall", "futex_wait", "<std::sys::sync::rwlock::futex::RwLock>::write_contended" },
	  { 18, 0, 2, 1, 0, 0, 0, 0 }, CPROF_LOCK_RWLOCK_WRITE, BASE + 8, 0, 0, 0, false },
	{ "Rust's FnOnce is no pthread_once", SYS_futex, { BASE, PRIVATE_BITSET, 0 }, { "syscall", "core::ops::function::FnOnce::call_once{{vtable.shim}}", "" },
	  { 0 }, CPROF_LOCK_FUTEX, BASE, 0, 0, 0, false },
	{ "Rust's thread::park", SYS_futex, { BASE, PRIVATE_BITSET, 0xffffffff }, { "syscall", "std::sys::pal::unix::futex::futex_wait", "<std::sys::sync::thread_parking::futex::Parker>::park" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_PARK, BASE, 0, 0, 0, false },
	{ "parking_lot parks in its own way: it is the mutex", SYS_futex, { BASE, PRIVATE_WAIT, 1 }, { "syscall", "parking_lot_core::thread_parker::imp::ThreadParker::park", "parking_lot::raw_mutex::RawMutex::lock_slow" },
	  { 1 }, CPROF_LOCK_MUTEX_RUST, 0, 0, 0, 0, false },
	{ "parking_lot rwlock, reader", SYS_futex, { BASE, PRIVATE_WAIT, 1 }, { "syscall", "parking_lot_core::parking_lot::park", "<parking_lot::raw_rwlock::RawRwLock>::lock_shared_slow" },
	  { 1 }, CPROF_LOCK_RWLOCK_READ, 0, 0, 0, 0, false },
	{ "parking_lot rwlock, writer", SYS_futex, { BASE, PRIVATE_WAIT, 1 }, { "syscall", "parking_lot_core::parking_lot::park", "parking_lot::raw_rwlock::RawRwLock::lock_exclusive_slow" },
	  { 1 }, CPROF_LOCK_RWLOCK_WRITE, 0, 0, 0, 0, false },
	{ "rwlock without names, reader behind a writer", SYS_futex, { BASE + 8, PRIVATE_BITSET, 3 }, { "", "", "" },
	  { 11, 0, 3, 1, 0, 0, 12, 0 }, CPROF_LOCK_RWLOCK_READ, BASE, 1012, 0, 0, false },
	{ "rwlock without names, writer behind a writer", SYS_futex, { BASE + 12, PRIVATE_BITSET, 3 }, { "", "", "" },
	  { 3, 1, 1, 3, 0, 0, 11, 0 }, CPROF_LOCK_RWLOCK_WRITE, BASE, 1011, 0, 0, false },
	{ "rwlock without names whose writer has ended: just a futex", SYS_futex, { BASE + 12, PRIVATE_BITSET, 3 }, { "", "", "" },
	  { 3, 1, 1, 3, 0, 0, 99, 0 }, CPROF_LOCK_FUTEX, BASE + 12, 0, 0, 0, false },
	{ "a futex at 3 with a thread id behind it and no rwlock around", SYS_futex, { BASE + 12, PRIVATE_BITSET, 3 }, { "", "", "" },
	  { 3, 1, 77, 3, 0, 0, 11, 0 }, CPROF_LOCK_FUTEX, BASE + 12, 0, 0, 0, false },
	{ "std::atomic::wait with a thread id behind it", SYS_futex, { BASE, PRIVATE_WAIT, 2 }, { "syscall", "std::__detail::__platform_wait<int>", "std::__atomic_wait_address_bare" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_ATOMIC, BASE, 0, 0, 0, false },
	{ "a waker is not waiting", SYS_futex, { BASE, 0x81, 1 }, { "", "", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_NONE, 0, 0, 0, 0, false },
	{ "unreadable lock", SYS_futex, { 0x10, PRIVATE_WAIT, 2 }, { "pthread_mutex_lock", "", "" },
	  { 0 }, CPROF_LOCK_MUTEX, 0x10, 0, 0, 0, false },
	{ "not a futex", SYS_read, { BASE, PRIVATE_WAIT, 2 }, { "read", "pthread_mutex_lock", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_NONE, 0, 0, 0, 0, false },
	{ "a timed wait that SIGSTOP has interrupted", SYS_restart_syscall, { BASE, PRIVATE_BITSET, 2, 0x7ffc }, { "", "pthread_mutex_timedlock", "" },
	  { 2, 0, 11, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 1011, 0, 0, true },
	{ "a sleep that SIGSTOP has interrupted", SYS_restart_syscall, { BASE, PRIVATE_BITSET, 2, 0x7ffc }, { "", "nanosleep", "" },
	  { 2, 0, 11, 1, 0 }, CPROF_LOCK_NONE, 0, 0, 0, 0, false },
	{ "futex_wait of Linux 6.7", 455, { BASE, 2, UINT32_MAX, 0x82 }, { "", "pthread_mutex_lock", "" },
	  { 2, 0, 12, 1, 0 }, CPROF_LOCK_MUTEX, BASE, 1012, 0, 0, false },
};
/* clang-format on */

static pid_t nobody(void *ctx, pid_t ns_tid)
{
	(void)ctx, (void)ns_tid;
	return 0;
}

TEST(lock_wait_names_a_restarted_system_call_by_its_wrapper)
{
	static const struct {
		const char *names[2], *want;
	} cases[] = {
		{ { "clock_nanosleep@@GLIBC_2.17", "__clock_nanosleep" }, "clock_nanosleep" },
		{ { "__GI___poll", "work" }, "poll" },
		{ { "", "restart_syscall" }, "restart_syscall" },
		{ { "futex_of_theirs", "read_all" }, "restart_syscall" },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		const struct cprof_thread_call call = { .kind = CPROF_CALL_BLOCKED,
							.nr = SYS_restart_syscall };
		const struct cprof_lock_wait_input input = { .call = &call,
							     .names = cases[i].names,
							     .n_names = 2,
							     .memory = &memory,
							     .thread_of = nobody };
		struct cprof_lock_wait wait;
		cprof_lock_wait_decode(&input, &wait);
		CHECK_STR(wait.call, cases[i].want);
	}
}

TEST(lock_wait_decodes_every_primitive_and_believes_no_chance_owner)
{
	for (size_t i = 0; i < sizeof(wait_cases) / sizeof(wait_cases[0]); i++) {
		const struct wait_case *c = &wait_cases[i];
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		struct cprof_thread_call call = { .kind = CPROF_CALL_BLOCKED, .nr = c->nr };
		struct cprof_lock_wait wait;
		memcpy(bytes.words, c->words, sizeof(c->words));
		memcpy(call.args, c->args, sizeof(c->args));
		struct cprof_lock_wait_input input = { .call = &call,
						       .names = c->names,
						       .n_names = 3,
						       .memory = &memory,
						       .thread_of = thread_of };
		cprof_lock_wait_decode(&input, &wait);
		if (wait.kind != c->kind || wait.addr != c->addr || wait.owner != c->owner ||
		    wait.gone_owner != c->gone || wait.readers != c->readers ||
		    wait.timed != c->timed)
			TEST_FAIL("%s: %s at 0x%" PRIx64 " owner %d gone %d readers %u timed %d",
				  c->what, cprof_lock_kind_name(wait.kind), wait.addr, wait.owner,
				  wait.gone_owner, wait.readers, wait.timed);
	}
}

TEST(lock_wait_finds_parking_lot_far_out_but_nobody_else)
{
	static const struct {
		const char *ninth;
		enum cprof_lock_kind kind;
	} cases[] = {
		{ "parking_lot::raw_mutex::RawMutex::lock_slow", CPROF_LOCK_MUTEX_RUST },
		{ "parking_lot::raw_rwlock::RawRwLock::lock_exclusive_slow",
		  CPROF_LOCK_RWLOCK_WRITE },
		{ "my_mutex_lock", CPROF_LOCK_FUTEX },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		const char *const names[] = {
			"syscall", "", "", "", "", "", "", "", cases[i].ninth
		};
		const struct cprof_thread_call call = { .kind = CPROF_CALL_BLOCKED,
							.nr = SYS_futex,
							.args = { BASE, PRIVATE_WAIT, 1 } };
		const struct cprof_lock_wait_input input = { .call = &call,
							     .names = names,
							     .n_names = 9,
							     .memory = &memory,
							     .thread_of = nobody };
		struct cprof_lock_wait wait;
		cprof_lock_wait_decode(&input, &wait);
		if (wait.kind != cases[i].kind)
			TEST_FAIL("%s: %s", cases[i].ninth, cprof_lock_kind_name(wait.kind));
	}
}

TEST(lock_word_beside_is_a_mutexs_owner_or_a_rwlocks_writer)
{
	static const struct {
		uint64_t at;
		uint32_t op, val, words[8], want;
	} cases[] = {
		{ BASE, PRIVATE_WAIT, 2, { 2, 0, 11 }, 11 },
		{ BASE, PRIVATE_WAIT, 2, { 2, 0, 0, 12, 13 }, 0 },
		{ BASE, PRIVATE_BITSET, 2, { 2, 0, 11, 1 }, 11 }, /* with a timeout */
		{ BASE + 8, PRIVATE_BITSET, 3, { 11, 0, 3, 1, 0, 0, 12 }, 12 },
		{ BASE + 12, PRIVATE_BITSET, 3, { 3, 1, 1, 3, 0, 0, 13 }, 13 },
		{ BASE + 12, PRIVATE_BITSET, 0, { 3, 1, 1, 0, 0, 0, 13 }, 0 },
		{ 0x10, PRIVATE_BITSET, 3, { 0 }, 0 },
		{ UINT64_MAX, PRIVATE_WAIT, 2, { 0 }, 0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		memcpy(bytes.words, cases[i].words, sizeof(cases[i].words));
		uint32_t got =
			cprof_lock_word_beside(&memory, cases[i].at, cases[i].op, cases[i].val);
		if (got != cases[i].want)
			TEST_FAIL("case %zu: %u", i, got);
	}
}

TEST(lock_wait_knows_a_mutex_that_the_kernel_refused_by_a_zero_on_the_stack)
{
	static const struct {
		uint64_t addr, op, value, timeout;
		bool refused;
	} cases[] = {
		{ BASE + 16, PRIVATE_BITSET, 0, 0, true },
		{ BASE + 16, PRIVATE_BITSET, 2, 0, false },
		{ BASE + 16, PRIVATE_BITSET, 0, 0x7000, false }, /* it ends by itself */
		{ BASE + 16, SHARED_BITSET, 0, 0, true }, /* robust ones are waited for as shared ones are */
		{ BASE - 16, PRIVATE_BITSET, 0, 0, false }, /* not of the stack */
		{ BASE + 4096, PRIVATE_BITSET, 0, 0, false },
	};
	static const char *const names[] = { "__futex_abstimed_wait64",
					     "__pthread_mutex_lock_full" };
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		const struct cprof_thread_call call = {
			.kind = CPROF_CALL_BLOCKED,
			.nr = SYS_futex,
			.args = { cases[i].addr, cases[i].op, cases[i].value, cases[i].timeout },
			.sp = BASE,
		};
		const struct cprof_lock_wait_input input = { .call = &call,
							     .names = names,
							     .n_names = 2,
							     .memory = &memory,
							     .thread_of = thread_of };
		struct cprof_lock_wait wait;
		cprof_lock_wait_decode(&input, &wait);
		CHECK(wait.refused == cases[i].refused);
		CHECK((wait.kind == CPROF_LOCK_MUTEX_PI) == cases[i].refused);
	}
}

/* Other processes that share the lock: 21 is thread 2021 of one, 12 is of another namespace, 22 cannot be seen. */
static enum cprof_foreign foreign_of(void *ctx, uint64_t addr, pid_t ns_tid,
				     struct cprof_shared_page_thread *ret)
{
	(void)ctx;
	CHECK_UINT(addr, BASE);
	*ret = (struct cprof_shared_page_thread){ ns_tid + 2000, 2000, "other" };
	return ns_tid == 21 || ns_tid == 12 ? CPROF_FOREIGN_HERE
	       : ns_tid == 22               ? CPROF_FOREIGN_UNSEEN
					    : CPROF_FOREIGN_GONE;
}

TEST(lock_wait_finds_owners_of_shared_locks_in_other_processes)
{
	static const struct {
		const char *what;
		uint32_t op, value;
		const char *name;
		uint32_t words[5];
		pid_t owner, owner_pid, gone, unseen;
	} cases[] = {
		{ "its own", 0, 2, "pthread_mutex_lock", { 2, 0, 11, 1, 128 }, 1011, 0, 0, 0 },
		{ "another's", 0, 2, "pthread_mutex_lock", { 2, 0, 21, 1, 128 }, 2021, 2000, 0, 0 },
		{ "another's, without names", 0, 2, "", { 2, 0, 21, 1, 128 }, 2021, 2000, 0, 0 },
		{ "both have one", 0, 2, "pthread_mutex_lock", { 2, 0, 12, 1, 128 }, 0, 0, 0, 12 },
		{ "not to be seen", 0, 2, "pthread_mutex_lock", { 2, 0, 22, 1, 128 }, 0, 0, 0, 22 },
		{ "nobody's", 0, 2, "pthread_mutex_lock", { 2, 0, 99, 1, 128 }, 0, 0, 99, 0 },
		{ "private", 0x80, 2, "pthread_mutex_lock", { 2, 0, 21, 1, 0 }, 0, 0, 21, 0 },
		{ "robust",
		  0,
		  0x80000015,
		  "pthread_mutex_lock",
		  { 0x80000015, 0, 21, 1, 0x90 },
		  2021,
		  2000,
		  0,
		  0 },
		{ "PI",
		  6,
		  0,
		  "pthread_mutex_lock",
		  { 0x80000015, 0, 21, 1, 0xa0 },
		  2021,
		  2000,
		  0,
		  0 },
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct bytes bytes = { 0 };
		struct cprof_memory memory = { read_bytes, &bytes };
		const struct cprof_thread_call call = {
			.kind = CPROF_CALL_BLOCKED,
			.nr = SYS_futex,
			.args = { BASE, cases[i].op, cases[i].value },
		};
		struct cprof_lock_wait wait;
		memcpy(bytes.words, cases[i].words, sizeof(cases[i].words));
		const struct cprof_lock_wait_input input = { .call = &call,
							     .names = &cases[i].name,
							     .n_names = 1,
							     .memory = &memory,
							     .thread_of = thread_of,
							     .foreign_of = foreign_of };
		cprof_lock_wait_decode(&input, &wait);
		if (wait.owner != cases[i].owner || wait.owner_pid != cases[i].owner_pid ||
		    wait.gone_owner != cases[i].gone || wait.unseen_owner != cases[i].unseen)
			TEST_FAIL("%s: owner %d of %d, gone %d, unseen %d", cases[i].what,
				  wait.owner, wait.owner_pid, wait.gone_owner, wait.unseen_owner);
	}
}

TEST(lock_wait_of_a_core_file_calls_no_owner_of_a_shared_lock_ended)
{
	struct bytes bytes = { .words = { 2, 0, 99, 1, 128 } };
	struct cprof_memory memory = { read_bytes, &bytes };
	const char *name = "pthread_mutex_lock";
	const struct cprof_thread_call call = { .kind = CPROF_CALL_BLOCKED,
						.nr = SYS_futex,
						.args = { BASE, 0, 2 } };
	const struct cprof_lock_wait_input input = { .call = &call,
						     .names = &name,
						     .n_names = 1,
						     .memory = &memory,
						     .thread_of = thread_of };
	struct cprof_lock_wait wait;
	cprof_lock_wait_decode(&input, &wait);
	CHECK_UINT(wait.gone_owner, 0);
	CHECK_UINT(wait.unseen_owner, 99);
}

TEST(lock_wait_says_nothing_of_a_thread_that_is_not_in_a_call)
{
	struct cprof_thread_call call = { .kind = CPROF_CALL_OUTSIDE, .nr = SYS_futex };
	struct cprof_lock_wait_input input = { .call = &call };
	struct cprof_lock_wait wait;
	cprof_lock_wait_decode(&input, &wait);
	CHECK_UINT(wait.kind, CPROF_LOCK_NONE);
	CHECK_STR(wait.call, "");
}

#define NONE CPROF_LOCK_GRAPH_NONE

TEST(lock_graph_finds_exactly_the_cycles)
{
	/* clang-format off */
	static const struct {
		const char *what;
		size_t n, edges[8];
		const char *want; /* nodes of each cycle, ';' after each */
	} cases[] = {
		{ "nobody", 0, { 0 }, "" },
		{ "nobody waits", 3, { NONE, NONE, NONE }, "" },
		{ "a chain", 4, { 1, 2, 3, NONE }, "" },
		{ "ABBA", 2, { 1, 0 }, "0 1 ;" },
		{ "a thread that waits for itself", 3, { NONE, 1, 1 }, "1 ;" },
		{ "three ways", 4, { NONE, 2, 3, 1 }, "1 2 3 ;" },
		{ "three ways, against the order", 3, { 2, 0, 1 }, "0 2 1 ;" },
		{ "a queue that ends in a cycle", 5, { 1, 2, 3, 2, 3 }, "2 3 ;" },
		{ "two cycles and a look-alike", 8, { 1, 0, 3, 4, 2, 6, 7, NONE }, "0 1 ;2 3 4 ;" },
		{ "everybody waits for one who waits for nobody", 4, { 3, 3, 3, NONE }, "" },
		{ "an edge out of range is none", 2, { 1, 7 }, "" },
	};
	/* clang-format on */
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct cprof_lock_cycles cycles;
		char got[128] = "";
		CHECK(!cprof_lock_graph_cycles(cases[i].edges, cases[i].n, &cycles));
		for (size_t c = 0; c < cycles.n; c++) {
			for (size_t k = 0; k < cycles.cycles[c].n; k++) {
				size_t len = strlen(got);
				got[len] = (char)('0' + cycles.cycles[c].nodes[k]);
				got[len + 1] = ' ';
				got[len + 2] = 0;
			}
			strcat(got, ";");
		}
		if (strcmp(got, cases[i].want) != 0)
			TEST_FAIL("%s: \"%s\", want \"%s\"", cases[i].what, got, cases[i].want);
		cprof_lock_cycles_deinit(&cycles);
	}
}

TEST(lock_graph_counts_who_waits_through_others)
{
	static const size_t edges[] = { 1, 2, 3, 2, 3, NONE };
	size_t waiters[6];
	CHECK(!cprof_lock_graph_waiters(edges, 6, waiters));
	CHECK_UINT(waiters[0], 0);
	CHECK_UINT(waiters[1], 1);
	CHECK_UINT(waiters[2], 2);
	CHECK_UINT(waiters[3], 1);
	CHECK_UINT(waiters[5], 0);
}

TEST(lock_graph_takes_a_million_threads_in_a_row)
{
	size_t n = 1000000;
	size_t *edges = malloc(n * sizeof(*edges));
	struct cprof_lock_cycles cycles;
	CHECK(edges);
	for (size_t i = 0; i < n; i++)
		edges[i] = (i + 1) % n;
	CHECK(!cprof_lock_graph_cycles(edges, n, &cycles));
	CHECK_UINT(cycles.n, 1);
	CHECK_UINT(cycles.cycles[0].n, n);
	cprof_lock_cycles_deinit(&cycles);
	free(edges);
}
