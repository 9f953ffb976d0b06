/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/locks/wait_names.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
/*
 * Function names, leading underscores and glibc's decorations taken off; '*' at an end matches anything there.
 * From the innermost function outwards the first that matches decides, unless an OUTER row matches further out: it is
 * a lock built upon another (the GIL upon a condition variable), or one whose numbers may be any.
 */
enum place {
	INNER,  /* the innermost that matches decides */
	OUTER,  /* decides over those further in */
	COUNTS, /* as INNER, and what its futex holds is a counter: its values mean nothing */
};
struct named {
	const char *pattern;
	enum cprof_wait_kind kind;
	enum place place;
};
static const struct named waiting[] = {
	/* glibc and musl */
	{ "pthread_mutex_lock*",      CPROF_WAIT_MUTEX,     INNER },
	{ "pthread_mutex_timedlock*", CPROF_WAIT_MUTEX,     INNER },
	{ "pthread_mutex_clocklock*", CPROF_WAIT_MUTEX,     INNER },
	{ "pthread_mutex_cond_lock*", CPROF_WAIT_MUTEX,     INNER },
	{ "mtx_lock",                 CPROF_WAIT_MUTEX,     INNER },
	{ "mtx_timedlock",            CPROF_WAIT_MUTEX,     INNER },
	{ "pthread_rwlock_*lock*",    CPROF_WAIT_RWLOCK,    INNER },
	{ "pthread_cond_*wait*",      CPROF_WAIT_CONDVAR,   INNER },
	{ "pthread_cond_signal*",     CPROF_WAIT_FUTEX,     INNER }, /* for the last ones woken to leave */
	{ "pthread_cond_broadcast*",  CPROF_WAIT_FUTEX,     INNER },
	{ "cnd_wait",                 CPROF_WAIT_CONDVAR,   INNER },
	{ "cnd_timedwait",            CPROF_WAIT_CONDVAR,   INNER },
	{ "sem_wait*",                CPROF_WAIT_SEMAPHORE, INNER },
	{ "sem_timedwait*",           CPROF_WAIT_SEMAPHORE, INNER },
	{ "sem_clockwait*",           CPROF_WAIT_SEMAPHORE, INNER },
	{ "new_sem_wait*",            CPROF_WAIT_SEMAPHORE, INNER },
	{ "pthread_barrier_wait",     CPROF_WAIT_BARRIER,   INNER },
	{ "pthread_join",             CPROF_WAIT_JOIN,      INNER },
	{ "pthread_timedjoin_np*",    CPROF_WAIT_JOIN,      INNER },
	{ "pthread_clockjoin_np*",    CPROF_WAIT_JOIN,      INNER },
	{ "pthread_clockjoin_ex",     CPROF_WAIT_JOIN,      INNER },
	{ "thrd_join",                CPROF_WAIT_JOIN,      INNER },
	{ "pthread_once*",            CPROF_WAIT_ONCE,      INNER },
	{ "call_once",                CPROF_WAIT_ONCE,      INNER },
	{ "lll_lock_wait_private",    CPROF_WAIT_MUTEX,     INNER },
	/* C++ */
	{ "std::mutex::lock",                  CPROF_WAIT_MUTEX,   OUTER },
	{ "std::__atomic_futex_unsigned_base*", CPROF_WAIT_FUTURE, INNER },
	{ "std::__detail::__platform_wait*",   CPROF_WAIT_ATOMIC,  INNER },
	{ "std::__atomic_wait_address*",       CPROF_WAIT_ATOMIC,  INNER },
	{ "AbslInternalPerThreadSemWait*",     CPROF_WAIT_CONDVAR, INNER }, /* where all of them sleep */
	{ "absl::*Mutex::LockWhen*",           CPROF_WAIT_CONDVAR, OUTER },
	{ "absl::*Mutex::ReaderLockWhen*",     CPROF_WAIT_CONDVAR, OUTER },
	{ "absl::*Mutex::Await*",              CPROF_WAIT_CONDVAR, OUTER },
	{ "absl::*Mutex::Lock*",               CPROF_WAIT_MUTEX,   OUTER },
	{ "absl::*Mutex::ReaderLock*",         CPROF_WAIT_RWLOCK,  OUTER },
	{ "absl::*CondVar::Wait*",             CPROF_WAIT_CONDVAR, OUTER },
	/* Rust: standard library (futex flavour) and parking_lot */
	{ "std::sys::*mutex*lock_contended",     CPROF_WAIT_MUTEX,   INNER },
	{ "std::sys::*rwlock*_contended",        CPROF_WAIT_RWLOCK,  INNER },
	{ "std::sys::*condvar*wait*",            CPROF_WAIT_CONDVAR, OUTER },
	{ "std::sys::*once::futex*",             CPROF_WAIT_ONCE,    INNER },
	{ "std::sys::*pthread::thread::Thread::join", CPROF_WAIT_JOIN, INNER },
	{ "std::sys*thread_park*::park*",        CPROF_WAIT_PARK,    OUTER },
	{ "std::thread::park*",                  CPROF_WAIT_PARK,    OUTER },
	{ "parking_lot::raw_mutex::*lock_slow",  CPROF_WAIT_MUTEX,   OUTER },
	{ "parking_lot::raw_rwlock::*_slow",     CPROF_WAIT_RWLOCK,  OUTER },
	{ "parking_lot::raw_rwlock::*lock_common", CPROF_WAIT_RWLOCK, OUTER },
	{ "parking_lot::condvar::*wait*",        CPROF_WAIT_CONDVAR, OUTER },
	{ "parking_lot::once::*",                CPROF_WAIT_ONCE,    OUTER },
	{ "crossbeam_*::*park*",                 CPROF_WAIT_PARK,    OUTER },
	/* GLib: its own futexes; a condition's word counts signals */
	{ "g_mutex_lock*",            CPROF_WAIT_MUTEX,     INNER },
	{ "g_rec_mutex_lock*",        CPROF_WAIT_MUTEX,     INNER },
	{ "g_bit_lock*",              CPROF_WAIT_MUTEX,     OUTER },
	{ "g_pointer_bit_lock*",      CPROF_WAIT_MUTEX,     OUTER },
	{ "g_rw_lock_*lock*",         CPROF_WAIT_RWLOCK,    INNER },
	{ "g_once_init_enter*",       CPROF_WAIT_ONCE,      OUTER },
	{ "g_cond_wait*",             CPROF_WAIT_CONDVAR,   COUNTS },
	/* OpenMP's run-times, where they have names: what a team shares is locked, the team's docks are not */
	{ "gomp_mutex_lock_slow*",    CPROF_WAIT_MUTEX,     INNER },
	{ "gomp_*barrier_wait*",      CPROF_WAIT_PARK,      INNER },
	{ "gomp_simple_barrier_*",    CPROF_WAIT_PARK,      INNER },
	{ "gomp_sem_wait*",           CPROF_WAIT_PARK,      INNER },
	{ "gomp_ptrlock_get*",        CPROF_WAIT_ONCE,      OUTER },
	{ "GOMP_critical_*start",     CPROF_WAIT_MUTEX,     OUTER },
	{ "GOMP_atomic_start",        CPROF_WAIT_MUTEX,     OUTER },
	{ "GOMP_ordered_start",       CPROF_WAIT_MUTEX,     OUTER },
	{ "GOMP_barrier*",            CPROF_WAIT_BARRIER,   OUTER },
	{ "omp_set_*lock*",           CPROF_WAIT_MUTEX,     OUTER },
	{ "kmpc_critical*",           CPROF_WAIT_MUTEX,     OUTER },
	{ "kmpc_set_*lock*",          CPROF_WAIT_MUTEX,     OUTER },
	{ "kmpc_barrier*",            CPROF_WAIT_BARRIER,   OUTER },
	{ "kmp_acquire_*lock*",       CPROF_WAIT_MUTEX,     OUTER },
	/* oneTBB: idle workers sleep on a word with a mutex's values */
	{ "tbb::*wait_on_address*",   CPROF_WAIT_MUTEX,     OUTER },
	{ "tbb::*wait_bounded_queue_monitor*", CPROF_WAIT_CONDVAR, OUTER },
	{ "tbb::*binary_semaphore::P", CPROF_WAIT_PARK,     COUNTS },
	{ "tbb::*sleep_node*::wait",  CPROF_WAIT_PARK,      COUNTS },
	{ "tbb::*concurrent_monitor*wait*", CPROF_WAIT_PARK, COUNTS },
	/* folly */
	{ "folly::SharedMutexImpl*",  CPROF_WAIT_RWLOCK,    OUTER },
	{ "folly::*DistributedMutex*lock*", CPROF_WAIT_MUTEX, OUTER },
	{ "folly::*MicroLock*lock*",  CPROF_WAIT_MUTEX,     OUTER },
	{ "folly::*LifoSem*",         CPROF_WAIT_PARK,      OUTER },
	{ "folly::*Baton*wait*",      CPROF_WAIT_PARK,      OUTER },
	{ "folly::*EventCount*",      CPROF_WAIT_PARK,      OUTER },
	{ "folly::*MemoryIdler*",     CPROF_WAIT_PARK,      OUTER },
	/* Qt */
	{ "QBasicMutex::lock*",       CPROF_WAIT_MUTEX,     OUTER },
	{ "QMutex::*lock*",           CPROF_WAIT_MUTEX,     OUTER },
	{ "QRecursiveMutex::*lock*",  CPROF_WAIT_MUTEX,     OUTER },
	{ "QReadWriteLock::*lock*",   CPROF_WAIT_RWLOCK,    OUTER },
	{ "QSemaphore::*cquire*",     CPROF_WAIT_SEMAPHORE, OUTER },
	{ "QWaitCondition::wait*",    CPROF_WAIT_CONDVAR,   OUTER },
	/* Java's monitors, which sleep on condition variables; Object.wait() takes the monitor again at its end */
	{ "ObjectMonitor::enter*",    CPROF_WAIT_MUTEX,     OUTER },
	{ "ObjectMonitor::wait*",     CPROF_WAIT_CONDVAR,   OUTER },
	/* WebKit's and Erlang's, made of parking places */
	{ "WTF::*lockSlow*",          CPROF_WAIT_MUTEX,     OUTER },
	{ "ethr_mutex_lock*",         CPROF_WAIT_MUTEX,     OUTER },
	{ "ethr_rwmutex_*lock*",      CPROF_WAIT_RWLOCK,    OUTER },
	{ "ethr_event_wait*",         CPROF_WAIT_PARK,      COUNTS },
	/* Go's runtime: its own locks contend, its notes are where idle threads park */
	{ "runtime.lock2",            CPROF_WAIT_MUTEX,     OUTER },
	{ "runtime.notesleep",        CPROF_WAIT_PARK,      OUTER },
	{ "runtime.notetsleep*",      CPROF_WAIT_PARK,      OUTER },
	{ "runtime.futexsleep",       CPROF_WAIT_PARK,      INNER },
	/* Interpreters */
	{ "take_gil",                 CPROF_WAIT_GIL,       OUTER },
	{ "PyThread_acquire_lock_timed*", CPROF_WAIT_MUTEX, OUTER },
	{ "PyMutex_LockTimed*",       CPROF_WAIT_MUTEX,     OUTER },
	{ "gvl_acquire*",             CPROF_WAIT_GIL,       OUTER },
	/* PostgreSQL: a heavyweight lock sleeps on a latch, a light one on a semaphore */
	{ "LWLockAcquire*",           CPROF_WAIT_RWLOCK,    OUTER },
	{ "ProcSleep", CPROF_WAIT_MUTEX, OUTER },
};

/* The same for those who end waits. */
static const struct named releasing[] = {
	{ "pthread_mutex_unlock*",    CPROF_WAIT_MUTEX,     INNER },
	{ "mtx_unlock",               CPROF_WAIT_MUTEX,     INNER },
	{ "pthread_rwlock_unlock*",   CPROF_WAIT_RWLOCK,    INNER },
	{ "pthread_cond_signal*",     CPROF_WAIT_CONDVAR,   INNER },
	{ "pthread_cond_broadcast*",  CPROF_WAIT_CONDVAR,   INNER },
	{ "cnd_signal",               CPROF_WAIT_CONDVAR,   INNER },
	{ "cnd_broadcast",            CPROF_WAIT_CONDVAR,   INNER },
	{ "pthread_cond_*wait*",      CPROF_WAIT_MUTEX,     INNER },
	{ "sem_post*",                CPROF_WAIT_SEMAPHORE, INNER },
	{ "new_sem_post*",            CPROF_WAIT_SEMAPHORE, INNER },
	{ "pthread_barrier_wait",     CPROF_WAIT_BARRIER,   INNER },
	{ "pthread_once*",            CPROF_WAIT_ONCE,      INNER },
	{ "call_once",                CPROF_WAIT_ONCE,      INNER },
	{ "lll_lock_wake_private",    CPROF_WAIT_MUTEX,     INNER },
	{ "std::mutex::unlock",       CPROF_WAIT_MUTEX,     OUTER },
	{ "std::__atomic_futex_unsigned_base*", CPROF_WAIT_FUTURE, INNER },
	{ "std::__detail::__platform_notify*", CPROF_WAIT_ATOMIC, INNER },
	{ "absl::*Mutex::Unlock*",    CPROF_WAIT_MUTEX,     OUTER },
	{ "absl::*Mutex::ReaderUnlock*", CPROF_WAIT_RWLOCK, OUTER },
	{ "std::sys::*mutex*::unlock*", CPROF_WAIT_MUTEX,   INNER },
	{ "std::sys::*mutex*::wake*", CPROF_WAIT_MUTEX,     INNER },
	{ "std::sys::*rwlock*wake*",  CPROF_WAIT_RWLOCK,    INNER },
	{ "std::sys::*condvar*notify*", CPROF_WAIT_CONDVAR, INNER },
	{ "std::sys*thread_park*::unpark*", CPROF_WAIT_PARK, OUTER },
	{ "std::thread::Thread*::unpark*", CPROF_WAIT_PARK,  OUTER },
	{ "parking_lot::raw_mutex::*unlock*", CPROF_WAIT_MUTEX, OUTER },
	{ "parking_lot::raw_rwlock::*unlock*", CPROF_WAIT_RWLOCK, OUTER },
	{ "parking_lot::condvar::*notify*", CPROF_WAIT_CONDVAR, OUTER },
	{ "g_mutex_unlock*",          CPROF_WAIT_MUTEX,     INNER },
	{ "g_rec_mutex_unlock*",      CPROF_WAIT_MUTEX,     INNER },
	{ "g_bit_unlock*",            CPROF_WAIT_MUTEX,     OUTER },
	{ "g_pointer_bit_unlock*",    CPROF_WAIT_MUTEX,     OUTER },
	{ "g_rw_lock_*unlock*",       CPROF_WAIT_RWLOCK,    INNER },
	{ "g_cond_signal*",           CPROF_WAIT_CONDVAR,   COUNTS },
	{ "g_cond_broadcast*",        CPROF_WAIT_CONDVAR,   COUNTS },
	{ "gomp_mutex_unlock_slow*",  CPROF_WAIT_MUTEX,     INNER },
	{ "GOMP_critical_*end",       CPROF_WAIT_MUTEX,     OUTER },
	{ "GOMP_atomic_end",          CPROF_WAIT_MUTEX,     OUTER },
	{ "omp_unset_*lock*",         CPROF_WAIT_MUTEX,     OUTER },
	{ "kmpc_end_critical*",       CPROF_WAIT_MUTEX,     OUTER },
	{ "kmpc_unset_*lock*",        CPROF_WAIT_MUTEX,     OUTER },
	{ "tbb::*notify_by_address*", CPROF_WAIT_MUTEX,     OUTER },
	{ "tbb::*binary_semaphore::V", CPROF_WAIT_PARK,     COUNTS },
	{ "folly::SharedMutexImpl*",  CPROF_WAIT_RWLOCK,    OUTER },
	{ "QBasicMutex::unlock*",     CPROF_WAIT_MUTEX,     OUTER },
	{ "QReadWriteLock::unlock*",  CPROF_WAIT_RWLOCK,    OUTER },
	{ "ObjectMonitor::exit*",     CPROF_WAIT_MUTEX,     OUTER },
	{ "WTF::*unlockSlow*",        CPROF_WAIT_MUTEX,     OUTER },
	{ "runtime.unlock2",          CPROF_WAIT_MUTEX,     OUTER },
	{ "runtime.notewakeup",       CPROF_WAIT_PARK,      OUTER },
	{ "drop_gil",                 CPROF_WAIT_GIL,       OUTER },
	{ "PyThread_release_lock",    CPROF_WAIT_MUTEX,     OUTER },
	{ "LWLockRelease*",           CPROF_WAIT_RWLOCK,    OUTER },
};

/* clang-format on */

/*
 * '*' matches any run of characters. Iterative: one star is remembered, which is enough. A symbol's version
 * ("@@GLIBC_2.34") is no part of its name.
 */
static bool glob(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;
	while (*text && *text != '@') {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/*
 * "___pthread_mutex_lock" and "__GI___pthread_mutex_lock" are pthread_mutex_lock to their callers. Rust's newer names
 * have the type in angle brackets: "<std::sys::sync::mutex::futex::Mutex>::lock_contended".
 */
static const char *plain(const char *name)
{
	if (strncmp(name, "__GI_", 5) == 0)
		name += 5;
	while (*name == '_' || *name == '<')
		name++;
	return name;
}

/* The row that decides, or NULL. */
static const struct named *find_row(const struct named *table, size_t n_table,
				    const char *const *names, size_t n_names, size_t *ret_entry)
{
	const struct named *found = NULL;
	for (size_t i = 0; i < n_names; i++) {
		const char *name = plain(names[i]);
		for (size_t row = 0; row < n_table; row++) {
			if ((found && table[row].place != OUTER) || !glob(table[row].pattern, name))
				continue;
			found = &table[row];
			*ret_entry = i;
			break;
		}
	}
	return found;
}

static const struct named *find(bool releases, const char *const *names, size_t n_names,
				size_t *ret_entry)
{
	return releases ? find_row(releasing, sizeof(releasing) / sizeof(releasing[0]), names,
				   n_names, ret_entry)
			: find_row(waiting, sizeof(waiting) / sizeof(waiting[0]), names, n_names,
				   ret_entry);
}

bool cprof_wait_names_know(const char *name, bool releases)
{
	size_t entry;
	return find(releases, &name, 1, &entry) != NULL;
}

/* The names know a mutex; only the numbers know what protocol it follows. */
static enum cprof_wait_kind with_protocol(enum cprof_wait_kind by_name,
					  enum cprof_wait_kind by_number)
{
	const bool knows = by_number == CPROF_WAIT_PI_MUTEX || by_number == CPROF_WAIT_ROBUST_MUTEX;
	return by_name == CPROF_WAIT_MUTEX && knows ? by_number : by_name;
}

enum cprof_wait_kind cprof_wait_names_tell(enum cprof_wait_kind by_number, const char *const *names,
					   size_t n_names, size_t *ret_entry, bool *ret_known)
{
	*ret_entry = 0;
	const struct named *row = find(false, names, n_names, ret_entry);
	*ret_known = row != NULL;
	if (!row)
		return by_number;
	/* Inside pthread_cond_wait a wait with a mutex's numbers is for getting the mutex back. */
	if (row->kind == CPROF_WAIT_CONDVAR && row->place == INNER &&
	    (by_number == CPROF_WAIT_MUTEX || by_number == CPROF_WAIT_PI_MUTEX ||
	     by_number == CPROF_WAIT_ROBUST_MUTEX))
		return by_number;
	return with_protocol(row->kind, by_number);
}

enum cprof_wait_kind cprof_wait_names_tell_release(enum cprof_wait_kind by_number,
						   const char *const *names, size_t n_names,
						   size_t *ret_entry, bool *ret_known)
{
	*ret_entry = 0;
	const struct named *row = find(true, names, n_names, ret_entry);
	*ret_known = row != NULL;
	return row ? with_protocol(row->kind, by_number) : by_number;
}
