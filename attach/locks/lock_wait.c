/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/lock_wait.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "attach/locks/wait_kind.h"

/* How deep below the system call the name of the primitive can stand: wrapper, slow path, the function. */
#define NAMES_MAX      6
#define FAR_NAMES_MAX  10  /* parking_lot's, which parks in a library of its own, not optimized */
#define REFUSED_WITHIN 512 /* bytes of the frame of __pthread_mutex_lock_full and what it calls */
#define CALLS_MAX      512 /* system call numbers that are looked through for a name */

/* System calls in which threads are found asleep, besides those that wait_kind.h knows. */
static const struct {
	int64_t nr;
	const char *name;
} call_names[] = {
	{ SYS_preadv, "preadv" },
	{ SYS_pwritev, "pwritev" },
	{ SYS_sendfile, "sendfile" },
	{ SYS_msgsnd, "msgsnd" },
	{ SYS_mq_timedsend, "mq_timedsend" },
	{ SYS_sync, "sync" },
	{ SYS_ioctl, "ioctl" },
	{ SYS_clone, "clone" },
	{ SYS_clone3, "clone3" },
	{ SYS_execve, "execve" },
	{ SYS_mmap, "mmap" },
	{ SYS_munmap, "munmap" },
	{ SYS_restart_syscall, "restart_syscall" },
	{ SYS_exit, "exit" },
	{ SYS_exit_group, "exit_group" },
#ifdef SYS_vfork
	{ SYS_vfork, "vfork" },
#endif
#ifdef SYS_open
	{ SYS_open, "open" },
#endif
};

const char *cprof_lock_wait_call_name(int64_t nr)
{
	const char *name = nr >= 0 && nr <= INT32_MAX ? cprof_wait_syscall_name((int32_t)nr) : NULL;
	if (name)
		return name;
	for (size_t i = 0; i < sizeof(call_names) / sizeof(call_names[0]); i++) {
		if (call_names[i].nr == nr)
			return call_names[i].name;
	}
	return NULL;
}

/*
 * Part of a function's name -> what it waits for. Parts, because a library has pthread_mutex_lock as
 * __pthread_mutex_lock, ___pthread_mutex_lock and mtx_lock, and which one is shown is chance. The first row that
 * fits the innermost function wins.
 */
static const struct name_kind {
	const char *part;
	enum cprof_lock_kind kind;
	bool no_words; /* a lock of a library whose bytes hold no owner */
	bool parks;    /* threads wait for a word of their own, which is not in the lock */
} name_kinds[] = {
	{ "lll_lock_wait_private", CPROF_LOCK_INTERNAL, false, false },
	{ "_M_futex_wait_until", CPROF_LOCK_FUTURE, false, false },
	{ "std::__detail::__platform_wait", CPROF_LOCK_ATOMIC, true, false },
	{ "std::__atomic_wait_address", CPROF_LOCK_ATOMIC, true, false },
	/* Rust, as v0 and as legacy symbols have it: "<a::Mutex>::lock" and "a::Mutex::lock". */
	{ "mutex::futex::Mutex", CPROF_LOCK_MUTEX_RUST, true, false },
	{ "futex_mutex::Mutex", CPROF_LOCK_MUTEX_RUST, true, false },
	{ "parking_lot::raw_mutex", CPROF_LOCK_MUTEX_RUST, true, true },
	{ "condvar::futex::Condvar", CPROF_LOCK_CONDVAR, true, false },
	{ "futex_condvar::Condvar", CPROF_LOCK_CONDVAR, true, false },
	{ "rwlock::futex::RwLock>::read", CPROF_LOCK_RWLOCK_READ, true, false },
	{ "rwlock::futex::RwLock::read", CPROF_LOCK_RWLOCK_READ, true, false },
	{ "futex_rwlock::RwLock::read", CPROF_LOCK_RWLOCK_READ, true, false },
	{ "rwlock::futex::RwLock", CPROF_LOCK_RWLOCK_WRITE, true, false },
	{ "futex_rwlock::RwLock", CPROF_LOCK_RWLOCK_WRITE, true, false },
	{ "once::futex::Once", CPROF_LOCK_ONCE, true, false },
	{ "RawRwLock::lock_shared", CPROF_LOCK_RWLOCK_READ, true, true },
	{ "RawRwLock>::lock_shared", CPROF_LOCK_RWLOCK_READ, true, true },
	{ "parking_lot::raw_rwlock", CPROF_LOCK_RWLOCK_WRITE, true, true },
	{ "parking_lot::condvar", CPROF_LOCK_CONDVAR, true, true },
	/* The standard library's; parking_lot has a thread_parker of its own under each of its locks. */
	{ "thread_parking::", CPROF_LOCK_PARK, true, false },
	{ "sys_common::thread_parker", CPROF_LOCK_PARK, true, false },
	{ "rwlock_rdlock", CPROF_LOCK_RWLOCK_READ, false, false },
	{ "rwlock_timedrdlock", CPROF_LOCK_RWLOCK_READ, false, false },
	{ "rwlock_clockrdlock", CPROF_LOCK_RWLOCK_READ, false, false },
	{ "rwlock_wrlock", CPROF_LOCK_RWLOCK_WRITE, false, false },
	{ "rwlock_timedwrlock", CPROF_LOCK_RWLOCK_WRITE, false, false },
	{ "rwlock_clockwrlock", CPROF_LOCK_RWLOCK_WRITE, false, false },
	{ "mutex_lock", CPROF_LOCK_MUTEX, false, false },
	{ "mutex_timedlock", CPROF_LOCK_MUTEX, false, false },
	{ "mutex_clocklock", CPROF_LOCK_MUTEX, false, false },
	{ "mutex_cond_lock", CPROF_LOCK_MUTEX, false, false },
	{ "mtx_lock", CPROF_LOCK_MUTEX, false, false },
	{ "mtx_timedlock", CPROF_LOCK_MUTEX, false, false },
	{ "cond_wait", CPROF_LOCK_CONDVAR, false, false },
	{ "cond_timedwait", CPROF_LOCK_CONDVAR, false, false },
	{ "cond_clockwait", CPROF_LOCK_CONDVAR, false, false },
	{ "cnd_wait", CPROF_LOCK_CONDVAR, false, false },
	{ "cnd_timedwait", CPROF_LOCK_CONDVAR, false, false },
	{ "sem_wait", CPROF_LOCK_SEMAPHORE, false, false },
	{ "sem_timedwait", CPROF_LOCK_SEMAPHORE, false, false },
	{ "sem_clockwait", CPROF_LOCK_SEMAPHORE, false, false },
	{ "barrier_wait", CPROF_LOCK_BARRIER, false, false },
	{ "pthread_once", CPROF_LOCK_ONCE, false, false },
	{ "pthread_join", CPROF_LOCK_JOIN, false, false },
	{ "clockjoin", CPROF_LOCK_JOIN, false, false },
	{ "timedjoin", CPROF_LOCK_JOIN, false, false },
	{ "thrd_join", CPROF_LOCK_JOIN, false, false },
};

static const struct name_kind *kind_by_names(const struct cprof_lock_wait_input *input)
{
	static const struct name_kind unknown = { "", CPROF_LOCK_NONE, false, false };
	for (size_t i = 0; i < input->n_names && i < FAR_NAMES_MAX; i++) {
		for (size_t k = 0; k < sizeof(name_kinds) / sizeof(name_kinds[0]); k++) {
			if ((i < NAMES_MAX || name_kinds[k].parks) &&
			    strstr(input->names[i], name_kinds[k].part))
				return &name_kinds[k];
		}
	}
	return &unknown;
}

struct futex_call {
	uint64_t addr;
	uint32_t command; /* FUTEX_WAIT, ... */
	uint32_t value;
	bool shared;
};

/*
 * The owner of a lock in shared memory may be of another process, even one whose threads are numbered anew. Where a
 * thread of the target has the number as well nobody can say whose it is.
 */
static void set_foreign_owner(const struct cprof_lock_wait_input *input, uint64_t addr,
			      pid_t ns_owner, struct cprof_lock_wait *ret)
{
	struct cprof_shared_page_thread thread = { 0 };
	const enum cprof_foreign found =
		input->foreign_of ? input->foreign_of(input->ctx, addr, ns_owner, &thread)
				  : CPROF_FOREIGN_UNSEEN;
	if (ret->owner && (found == CPROF_FOREIGN_GONE || !input->foreign_of))
		return;
	if (!ret->owner && found == CPROF_FOREIGN_GONE) {
		ret->gone_owner = ns_owner;
	} else if (!ret->owner && found == CPROF_FOREIGN_HERE) {
		ret->owner = thread.tid;
		ret->owner_pid = thread.pid;
		memcpy(ret->owner_process, thread.name, sizeof(thread.name));
	} else if (!ret->owner || found == CPROF_FOREIGN_HERE) {
		ret->owner = 0;
		ret->unseen_owner = ns_owner;
	}
}

/* Take owner over if it lives; a dead one is told apart, since that is a finding of its own. */
static void set_owner(const struct cprof_lock_wait_input *input, bool shared, pid_t ns_owner,
		      struct cprof_lock_wait *ret)
{
	if (ns_owner <= 0)
		return;
	ret->owner = input->thread_of(input->ctx, ns_owner);
	if (shared)
		set_foreign_owner(input, ret->addr, ns_owner, ret);
	else if (!ret->owner)
		ret->gone_owner = ns_owner;
}

static bool lives(const struct cprof_lock_wait_input *input, pid_t ns_tid)
{
	return ns_tid > 0 && input->thread_of(input->ctx, ns_tid) > 0;
}

/* The owner of a lock may live in another process as well. */
static bool owner_lives(const struct cprof_lock_wait_input *input, const struct futex_call *call,
			pid_t ns_tid)
{
	struct cprof_shared_page_thread thread;
	return lives(input, ns_tid) ||
	       (ns_tid > 0 && call->shared && input->foreign_of &&
		input->foreign_of(input->ctx, call->addr, ns_tid, &thread) == CPROF_FOREIGN_HERE);
}

/* `named`: the stack says that it is a mutex. Else only words that name a living owner are believed. */
static bool try_glibc_mutex(const struct cprof_lock_wait_input *input,
			    const struct futex_call *call, bool named, struct cprof_lock_wait *ret)
{
	struct cprof_lock_word word;
	if (!cprof_lock_word_glibc_mutex(input->memory, call->addr, &word) || !word.plausible)
		return false;
	if (!named && (call->value != 2 || !owner_lives(input, call, word.owner)))
		return false;
	ret->kind = word.kind;
	ret->addr = word.addr;
	set_owner(input, call->shared, word.owner, ret);
	return true;
}

/* FUTEX_WAITERS is set in the value: the word holds a thread id. glibc's robust mutex and musl's look alike here. */
static bool try_word_with_owner(const struct cprof_lock_wait_input *input,
				const struct futex_call *call, bool named,
				struct cprof_lock_wait *ret)
{
	struct cprof_lock_word word;
	pid_t in_word = (pid_t)(call->value & FUTEX_TID_MASK);
	if (!(call->value & FUTEX_WAITERS) || in_word == 0 ||
	    (!named && !owner_lives(input, call, in_word)))
		return false;
	if (cprof_lock_word_glibc_mutex(input->memory, call->addr, &word) && word.plausible &&
	    word.kind == CPROF_LOCK_MUTEX_ROBUST) {
		ret->kind = word.kind;
		ret->addr = word.addr;
		set_owner(input, call->shared, word.owner, ret);
		return true;
	}
	if (cprof_lock_word_musl_mutex(input->memory, call->addr, &word) && word.plausible) {
		ret->kind = word.kind;
		ret->addr = word.addr;
		set_owner(input, call->shared, word.owner, ret);
		return true;
	}
	return false;
}

/*
 * Which of a rwlock's three futexes it is tells where the lock begins (pthread_rwlock_common.c): readers wait on
 * __wrphase_futex (+8) for 3, or on __readers (+0); writers on __writers_futex (+12) for 3 or, next in
 * line, on __wrphase_futex for 2.
 */
static uint64_t rwlock_start(enum cprof_lock_kind kind, const struct futex_call *call)
{
	if (kind == CPROF_LOCK_RWLOCK_WRITE)
		return call->addr - (call->value == 3 ? 12 : 8);
	return call->value == 3 ? call->addr - 8 : call->addr;
}

static bool try_glibc_rwlock(const struct cprof_lock_wait_input *input, enum cprof_lock_kind kind,
			     const struct futex_call *call, struct cprof_lock_wait *ret)
{
	struct cprof_lock_word word;
	uint64_t start = rwlock_start(kind, call);
	if (!cprof_lock_word_glibc_rwlock(input->memory, start, &word) || !word.plausible)
		return false;
	ret->kind = kind;
	ret->addr = start;
	ret->readers = word.readers;
	set_owner(input, call->shared, word.owner, ret);
	return true;
}

/* Without names the numbers are a rwlock's only where its words name a writer that lives. */
static bool try_unnamed_rwlock(const struct cprof_lock_wait_input *input,
			       const struct futex_call *call, struct cprof_lock_wait *ret)
{
	static const enum cprof_lock_kind kinds[] = { CPROF_LOCK_RWLOCK_WRITE,
						      CPROF_LOCK_RWLOCK_READ };
	if (call->command != FUTEX_WAIT_BITSET || call->value != 3)
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct cprof_lock_word word;
		if (cprof_lock_word_glibc_rwlock(input->memory, rwlock_start(kinds[i], call),
						 &word) &&
		    word.plausible && owner_lives(input, call, word.owner))
			return try_glibc_rwlock(input, kinds[i], call, ret);
	}
	return false;
}

/* pthread_join waits, shared, for the kernel to clear the thread id in the thread's descriptor. */
static bool try_join(const struct cprof_lock_wait_input *input, const struct futex_call *call,
		     struct cprof_lock_wait *ret)
{
	struct cprof_lock_word word;
	pid_t joined = (pid_t)call->value;
	if (!call->shared || !lives(input, joined) ||
	    !cprof_lock_word_owned(input->memory, call->addr, &word) || word.owner != joined)
		return false;
	ret->kind = CPROF_LOCK_JOIN;
	set_owner(input, false, joined, ret);
	return true;
}

static void decode_pi(const struct cprof_lock_wait_input *input, const struct futex_call *call,
		      struct cprof_lock_wait *ret)
{
	struct cprof_lock_word word;
	ret->kind = CPROF_LOCK_MUTEX_PI;
	if (cprof_lock_word_owned(input->memory, ret->addr, &word))
		set_owner(input, call->shared, word.owner, ret);
}

static bool is_rwlock(enum cprof_lock_kind kind)
{
	return kind == CPROF_LOCK_RWLOCK_READ || kind == CPROF_LOCK_RWLOCK_WRITE;
}

/*
 * The kernel waits for no PI mutex whose owner waits, by PI mutexes, for the caller. What glibc does then (in __pthread_mutex_lock_full, "Delay
 * the thread indefinitely") is to wait for a zero of its own stack, which nobody changes.
 */
static bool is_refused(const struct cprof_lock_wait_input *input, const struct futex_call *call)
{
	const uint64_t sp = input->call->sp, args3 = input->call->args[3];
	return call->value == 0 && !args3 && call->addr >= sp && call->addr - sp < REFUSED_WITHIN;
}

static void decode_wait(const struct cprof_lock_wait_input *input, const struct futex_call *call,
			struct cprof_lock_wait *ret)
{
	const struct name_kind *row = kind_by_names(input);
	enum cprof_lock_kind named = row->kind;
	bool mutex = named == CPROF_LOCK_MUTEX;
	if (mutex && !row->no_words && is_refused(input, call)) {
		ret->kind = CPROF_LOCK_MUTEX_PI;
		ret->refused = true;
		ret->shared = call->shared;
		return;
	}
	ret->kind = named == CPROF_LOCK_NONE ? CPROF_LOCK_FUTEX : named;
	if (row->parks)
		ret->addr = 0;
	if (row->no_words)
		return;
	if (is_rwlock(named)) {
		try_glibc_rwlock(input, named, call, ret);
		return;
	}
	if (named == CPROF_LOCK_NONE && try_unnamed_rwlock(input, call, ret))
		return;
	/* Re-taking the mutex at the end of a wait for a condition is waiting for the mutex. */
	if (mutex || named == CPROF_LOCK_NONE || named == CPROF_LOCK_CONDVAR) {
		if (try_word_with_owner(input, call, mutex, ret) ||
		    try_glibc_mutex(input, call, mutex, ret))
			return;
	}
	if (named == CPROF_LOCK_JOIN || named == CPROF_LOCK_NONE)
		try_join(input, call, ret);
}

/* With FUTEX_WAIT a timeout is a pointer to a time, NULL for none. */
static void decode_futex(const struct cprof_lock_wait_input *input, struct cprof_lock_wait *ret)
{
	const uint64_t *args = input->call->args;
	uint32_t op = (uint32_t)args[1];
	struct futex_call call = {
		.addr = args[0],
		.command = op & (uint32_t)FUTEX_CMD_MASK,
		.value = (uint32_t)args[2],
		.shared = !(op & FUTEX_PRIVATE_FLAG),
	};
	ret->addr = call.addr;
	ret->timed = args[3] != 0;
	switch (call.command) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		decode_pi(input, &call, ret);
		return;
	case FUTEX_WAIT_REQUEUE_PI:
		ret->kind = CPROF_LOCK_CONDVAR;
		return;
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
		decode_wait(input, &call, ret);
		return;
	default: /* a waker is on its way through the kernel, not waiting */
		ret->addr = 0;
		return;
	}
}

/* futex_wait(addr, value, mask, flags, timeout, clock) of Linux 6.7. */
static void decode_futex2(const struct cprof_lock_wait_input *input, struct cprof_lock_wait *ret)
{
	const uint64_t *args = input->call->args;
	struct futex_call call = {
		.addr = args[0],
		.command = FUTEX_WAIT_BITSET,
		.value = (uint32_t)args[1],
		.shared = !(args[3] & FUTEX_PRIVATE_FLAG),
	};
	ret->addr = call.addr;
	ret->timed = args[4] != 0;
	decode_wait(input, &call, ret);
}

/*
 * A wait with a timeout that was interrupted (by SIGSTOP, say) goes on as restart_syscall, with the registers as
 * they were; what it was only the names tell.
 */
/* "__clock_nanosleep" is what glibc calls the wrapper of that system call. */
static const char *restarted_call(const struct cprof_lock_wait_input *input)
{
	for (size_t i = 0; i < input->n_names && i < NAMES_MAX; i++) {
		const char *name = input->names[i];
		if (strncmp(name, "__GI_", 5) == 0)
			name += 5;
		name += strspn(name, "_");
		size_t n = strcspn(name, "@"); /* a symbol's version is no part of its name */
		for (int64_t nr = 0; nr < CALLS_MAX; nr++) {
			const char *known = cprof_lock_wait_call_name(nr);
			if (known && nr != SYS_restart_syscall && strlen(known) == n &&
			    strncmp(known, name, n) == 0)
				return known;
		}
	}
	return "restart_syscall";
}

static bool is_restarted_futex(const struct cprof_lock_wait_input *input)
{
	return input->call->nr == SYS_restart_syscall &&
	       kind_by_names(input)->kind != CPROF_LOCK_NONE;
}

void cprof_lock_wait_decode(const struct cprof_lock_wait_input *input, struct cprof_lock_wait *ret)
{
	*ret = (struct cprof_lock_wait){ .call = "" };
	if (input->call->kind != CPROF_CALL_BLOCKED)
		return;
	const char *name = cprof_lock_wait_call_name(input->call->nr);
	ret->call = name ? name : "";
	if (input->call->nr == SYS_futex || is_restarted_futex(input))
		decode_futex(input, ret);
	else if (name && strcmp(name, "futex_wait") == 0)
		decode_futex2(input, ret);
	else if (name && strcmp(name, "futex_waitv") == 0)
		ret->kind = CPROF_LOCK_FUTEX;
	else if (input->call->nr == SYS_restart_syscall)
		ret->call = restarted_call(input);
}
