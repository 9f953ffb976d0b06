#include "attach/locks/wait_kind.h"

#include <linux/futex.h>
#include <string.h>
#include <sys/syscall.h>

#include "attach/locks/futex.h"

#ifndef SYS_futex_wait
#define SYS_futex_wait 455
#endif
#ifndef FUTEX_LOCK_PI2
#define FUTEX_LOCK_PI2 13
#endif

/* clang-format off */
static const struct {
	const char *name;
	bool contends;
} kinds[CPROF_WAIT_KIND_N] = {
	[CPROF_WAIT_MUTEX]        = { "mutex",        true  },
	[CPROF_WAIT_PI_MUTEX]     = { "pi_mutex",     true  },
	[CPROF_WAIT_ROBUST_MUTEX] = { "robust_mutex", true  },
	[CPROF_WAIT_RWLOCK]       = { "rwlock",       true  },
	[CPROF_WAIT_SEMAPHORE]    = { "semaphore",    true  },
	[CPROF_WAIT_BARRIER]      = { "barrier",      true  },
	[CPROF_WAIT_JOIN]         = { "join",         true  },
	[CPROF_WAIT_ONCE]         = { "once",         true  },
	[CPROF_WAIT_GIL]          = { "gil",          true  },
	[CPROF_WAIT_FUTEX]        = { "futex",        true  },
	[CPROF_WAIT_CONDVAR]      = { "condvar",      false },
	[CPROF_WAIT_FUTURE]       = { "future",       false },
	[CPROF_WAIT_ATOMIC]       = { "atomic",       false },
	[CPROF_WAIT_PARK]         = { "park",         false },
	[CPROF_WAIT_POLL]         = { "poll",         false },
	[CPROF_WAIT_SLEEP]        = { "sleep",        false },
	[CPROF_WAIT_IO]           = { "io",           false },
	[CPROF_WAIT_PROCESS]      = { "process",      false },
	[CPROF_WAIT_FILE_LOCK]    = { "file_lock",    true  },
	[CPROF_WAIT_PAGE_FAULT]   = { "page_fault",   false },
	[CPROF_WAIT_OTHER]        = { "other",        false },
};

/*
 * Function names, leading underscores and glibc's decorations taken off; '*' at an end matches anything there.
 * From the innermost function outwards the first that matches decides, unless a row marked `outer` matches
 * further out: it is a lock built upon another (the GIL upon a condition variable), or one whose numbers may be any.
 */
struct named {
	const char *pattern;
	enum cprof_wait_kind kind;
	bool outer;
};
static const struct named waiting[] = {
	/* glibc and musl */
	{ "pthread_mutex_lock*",      CPROF_WAIT_MUTEX,     false },
	{ "pthread_mutex_timedlock*", CPROF_WAIT_MUTEX,     false },
	{ "pthread_mutex_clocklock*", CPROF_WAIT_MUTEX,     false },
	{ "pthread_mutex_cond_lock*", CPROF_WAIT_MUTEX,     false },
	{ "mtx_lock",                 CPROF_WAIT_MUTEX,     false },
	{ "mtx_timedlock",            CPROF_WAIT_MUTEX,     false },
	{ "pthread_rwlock_*lock*",    CPROF_WAIT_RWLOCK,    false },
	{ "pthread_cond_*wait*",      CPROF_WAIT_CONDVAR,   false },
	{ "pthread_cond_signal*",     CPROF_WAIT_FUTEX,     false }, /* for the last ones woken to leave */
	{ "pthread_cond_broadcast*",  CPROF_WAIT_FUTEX,     false },
	{ "cnd_wait",                 CPROF_WAIT_CONDVAR,   false },
	{ "cnd_timedwait",            CPROF_WAIT_CONDVAR,   false },
	{ "sem_wait*",                CPROF_WAIT_SEMAPHORE, false },
	{ "sem_timedwait*",           CPROF_WAIT_SEMAPHORE, false },
	{ "sem_clockwait*",           CPROF_WAIT_SEMAPHORE, false },
	{ "new_sem_wait*",            CPROF_WAIT_SEMAPHORE, false },
	{ "pthread_barrier_wait",     CPROF_WAIT_BARRIER,   false },
	{ "pthread_join",             CPROF_WAIT_JOIN,      false },
	{ "pthread_timedjoin_np*",    CPROF_WAIT_JOIN,      false },
	{ "pthread_clockjoin_np*",    CPROF_WAIT_JOIN,      false },
	{ "pthread_clockjoin_ex",     CPROF_WAIT_JOIN,      false },
	{ "thrd_join",                CPROF_WAIT_JOIN,      false },
	{ "pthread_once*",            CPROF_WAIT_ONCE,      false },
	{ "call_once",                CPROF_WAIT_ONCE,      false },
	{ "lll_lock_wait_private",    CPROF_WAIT_MUTEX,     false },
	/* C++ */
	{ "std::mutex::lock",                  CPROF_WAIT_MUTEX,   true  },
	{ "std::__atomic_futex_unsigned_base*", CPROF_WAIT_FUTURE, false },
	{ "std::__detail::__platform_wait*",   CPROF_WAIT_ATOMIC,  false },
	{ "std::__atomic_wait_address*",       CPROF_WAIT_ATOMIC,  false },
	{ "AbslInternalPerThreadSemWait*",     CPROF_WAIT_CONDVAR, false }, /* where all of them sleep */
	{ "absl::*Mutex::LockWhen*",           CPROF_WAIT_CONDVAR, true  },
	{ "absl::*Mutex::ReaderLockWhen*",     CPROF_WAIT_CONDVAR, true  },
	{ "absl::*Mutex::Await*",              CPROF_WAIT_CONDVAR, true  },
	{ "absl::*Mutex::Lock*",               CPROF_WAIT_MUTEX,   true  },
	{ "absl::*Mutex::ReaderLock*",         CPROF_WAIT_RWLOCK,  true  },
	{ "absl::*CondVar::Wait*",             CPROF_WAIT_CONDVAR, true  },
	/* Rust: standard library (futex flavour) and parking_lot */
	{ "std::sys::*mutex*lock_contended",     CPROF_WAIT_MUTEX,   false },
	{ "std::sys::*rwlock*_contended",        CPROF_WAIT_RWLOCK,  false },
	{ "std::sys::*condvar*wait*",            CPROF_WAIT_CONDVAR, true },
	{ "std::sys::*once::futex*",             CPROF_WAIT_ONCE,    false },
	{ "std::sys::*pthread::thread::Thread::join", CPROF_WAIT_JOIN, false },
	{ "std::sys*thread_park*::park*",        CPROF_WAIT_PARK,    true  },
	{ "std::thread::park*",                  CPROF_WAIT_PARK,    true  },
	{ "parking_lot::raw_mutex::*lock_slow",  CPROF_WAIT_MUTEX,   true  },
	{ "parking_lot::raw_rwlock::*_slow",     CPROF_WAIT_RWLOCK,  true  },
	{ "parking_lot::raw_rwlock::*lock_common", CPROF_WAIT_RWLOCK, true },
	{ "parking_lot::condvar::*wait*",        CPROF_WAIT_CONDVAR, true  },
	{ "parking_lot::once::*",                CPROF_WAIT_ONCE,    true  },
	{ "crossbeam_*::*park*",                 CPROF_WAIT_PARK,    true  },
	/* Go's runtime: its own locks contend, its notes are where idle threads park */
	{ "runtime.lock2",            CPROF_WAIT_MUTEX,     true  },
	{ "runtime.notesleep",        CPROF_WAIT_PARK,      true  },
	{ "runtime.notetsleep*",      CPROF_WAIT_PARK,      true  },
	{ "runtime.futexsleep",       CPROF_WAIT_PARK,      false },
	/* Interpreters */
	{ "take_gil",                 CPROF_WAIT_GIL,       true  },
	{ "PyThread_acquire_lock_timed*", CPROF_WAIT_MUTEX, true  },
	{ "PyMutex_LockTimed*",       CPROF_WAIT_MUTEX,     true  },
	{ "gvl_acquire*",             CPROF_WAIT_GIL,       true  },
	/* PostgreSQL: a heavyweight lock sleeps on a latch, a light one on a semaphore */
	{ "LWLockAcquire*",           CPROF_WAIT_RWLOCK,    true  },
	{ "ProcSleep", CPROF_WAIT_MUTEX, true },
};

/* The same for those who end waits. */
static const struct named releasing[] = {
	{ "pthread_mutex_unlock*",    CPROF_WAIT_MUTEX,     false },
	{ "mtx_unlock",               CPROF_WAIT_MUTEX,     false },
	{ "pthread_rwlock_unlock*",   CPROF_WAIT_RWLOCK,    false },
	{ "pthread_cond_signal*",     CPROF_WAIT_CONDVAR,   false },
	{ "pthread_cond_broadcast*",  CPROF_WAIT_CONDVAR,   false },
	{ "cnd_signal",               CPROF_WAIT_CONDVAR,   false },
	{ "cnd_broadcast",            CPROF_WAIT_CONDVAR,   false },
	{ "pthread_cond_*wait*",      CPROF_WAIT_MUTEX,     false },
	{ "sem_post*",                CPROF_WAIT_SEMAPHORE, false },
	{ "new_sem_post*",            CPROF_WAIT_SEMAPHORE, false },
	{ "pthread_barrier_wait",     CPROF_WAIT_BARRIER,   false },
	{ "pthread_once*",            CPROF_WAIT_ONCE,      false },
	{ "call_once",                CPROF_WAIT_ONCE,      false },
	{ "lll_lock_wake_private",    CPROF_WAIT_MUTEX,     false },
	{ "std::mutex::unlock",       CPROF_WAIT_MUTEX,     true  },
	{ "std::__atomic_futex_unsigned_base*", CPROF_WAIT_FUTURE, false },
	{ "std::__detail::__platform_notify*", CPROF_WAIT_ATOMIC, false },
	{ "absl::*Mutex::Unlock*",    CPROF_WAIT_MUTEX,     true  },
	{ "absl::*Mutex::ReaderUnlock*", CPROF_WAIT_RWLOCK, true  },
	{ "std::sys::*mutex*::unlock*", CPROF_WAIT_MUTEX,   false },
	{ "std::sys::*mutex*::wake*", CPROF_WAIT_MUTEX,     false },
	{ "std::sys::*rwlock*wake*",  CPROF_WAIT_RWLOCK,    false },
	{ "std::sys::*condvar*notify*", CPROF_WAIT_CONDVAR, false },
	{ "std::sys*thread_park*::unpark*", CPROF_WAIT_PARK, true  },
	{ "std::thread::Thread*::unpark*", CPROF_WAIT_PARK,  true  },
	{ "parking_lot::raw_mutex::*unlock*", CPROF_WAIT_MUTEX, true },
	{ "parking_lot::raw_rwlock::*unlock*", CPROF_WAIT_RWLOCK, true },
	{ "parking_lot::condvar::*notify*", CPROF_WAIT_CONDVAR, true },
	{ "runtime.unlock2",          CPROF_WAIT_MUTEX,     true  },
	{ "runtime.notewakeup",       CPROF_WAIT_PARK,      true  },
	{ "drop_gil",                 CPROF_WAIT_GIL,       true  },
	{ "PyThread_release_lock",    CPROF_WAIT_MUTEX,     true  },
	{ "LWLockRelease*",           CPROF_WAIT_RWLOCK,    true  },
};

/* Blocking system calls by what they wait for. */
static const struct {
	int32_t number;
	const char *name;
	enum cprof_wait_kind kind;
} syscalls[] = {
	{ SYS_futex,           "futex",           CPROF_WAIT_FUTEX     },
	{ SYS_futex_waitv,     "futex_waitv",     CPROF_WAIT_FUTEX     },
	{ SYS_futex_wait,      "futex_wait",      CPROF_WAIT_FUTEX     },
	{ SYS_epoll_pwait,     "epoll_pwait",     CPROF_WAIT_POLL      },
	{ SYS_epoll_pwait2,    "epoll_pwait2",    CPROF_WAIT_POLL      },
	{ SYS_ppoll,           "ppoll",           CPROF_WAIT_POLL      },
	{ SYS_pselect6,        "pselect6",        CPROF_WAIT_POLL      },
#ifdef SYS_epoll_wait
	{ SYS_epoll_wait,      "epoll_wait",      CPROF_WAIT_POLL      },
	{ SYS_poll,            "poll",            CPROF_WAIT_POLL      },
	{ SYS_select,          "select",          CPROF_WAIT_POLL      },
	{ SYS_pause,           "pause",           CPROF_WAIT_SLEEP     },
#endif
	{ SYS_io_getevents,    "io_getevents",    CPROF_WAIT_POLL      },
	{ SYS_io_uring_enter,  "io_uring_enter",  CPROF_WAIT_POLL      },
	{ SYS_nanosleep,       "nanosleep",       CPROF_WAIT_SLEEP     },
	{ SYS_clock_nanosleep, "clock_nanosleep", CPROF_WAIT_SLEEP     },
	{ SYS_rt_sigtimedwait, "sigtimedwait",    CPROF_WAIT_SLEEP     },
	{ SYS_rt_sigsuspend,   "sigsuspend",      CPROF_WAIT_SLEEP     },
	{ SYS_sched_yield,     "sched_yield",     CPROF_WAIT_OTHER     },
	{ SYS_read,            "read",            CPROF_WAIT_IO        },
	{ SYS_readv,           "readv",           CPROF_WAIT_IO        },
	{ SYS_pread64,         "pread64",         CPROF_WAIT_IO        },
	{ SYS_write,           "write",           CPROF_WAIT_IO        },
	{ SYS_writev,          "writev",          CPROF_WAIT_IO        },
	{ SYS_pwrite64,        "pwrite64",        CPROF_WAIT_IO        },
	{ SYS_recvfrom,        "recvfrom",        CPROF_WAIT_IO        },
	{ SYS_recvmsg,         "recvmsg",         CPROF_WAIT_IO        },
	{ SYS_recvmmsg,        "recvmmsg",        CPROF_WAIT_IO        },
	{ SYS_sendto,          "sendto",          CPROF_WAIT_IO        },
	{ SYS_sendmsg,         "sendmsg",         CPROF_WAIT_IO        },
	{ SYS_accept,          "accept",          CPROF_WAIT_IO        },
	{ SYS_accept4,         "accept4",         CPROF_WAIT_IO        },
	{ SYS_connect,         "connect",         CPROF_WAIT_IO        },
	{ SYS_fsync,           "fsync",           CPROF_WAIT_IO        },
	{ SYS_fdatasync,       "fdatasync",       CPROF_WAIT_IO        },
	{ SYS_msync,           "msync",           CPROF_WAIT_IO        },
	{ SYS_openat,          "openat",          CPROF_WAIT_IO        },
	{ SYS_splice,          "splice",          CPROF_WAIT_IO        },
	{ SYS_msgrcv,          "msgrcv",          CPROF_WAIT_IO        },
	{ SYS_mq_timedreceive, "mq_timedreceive", CPROF_WAIT_IO        },
	{ SYS_semop,           "semop",           CPROF_WAIT_SEMAPHORE },
	{ SYS_semtimedop,      "semtimedop",      CPROF_WAIT_SEMAPHORE },
	{ SYS_wait4,           "wait4",           CPROF_WAIT_PROCESS   },
	{ SYS_waitid,          "waitid",          CPROF_WAIT_PROCESS   },
	{ SYS_flock,           "flock",           CPROF_WAIT_FILE_LOCK },
	{ SYS_fcntl,           "fcntl",           CPROF_WAIT_FILE_LOCK },
};
/* clang-format on */

const char *cprof_wait_kind_name(enum cprof_wait_kind kind)
{
	return kinds[kind].name;
}

bool cprof_wait_kind_contends(enum cprof_wait_kind kind)
{
	return kinds[kind].contends;
}

const char *cprof_wait_syscall_name(int32_t syscall)
{
	for (size_t i = 0; i < sizeof(syscalls) / sizeof(syscalls[0]); i++) {
		if (syscalls[i].number == syscall)
			return syscalls[i].name;
	}
	return NULL;
}

bool cprof_wait_is_futex(int32_t syscall)
{
	return syscall == SYS_futex || syscall == SYS_futex_waitv || syscall == SYS_futex_wait;
}

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
static const struct named *tell_by_names(const struct named *table, size_t n_table,
					 const char *const *names, size_t n_names,
					 size_t *ret_entry)
{
	const struct named *found = NULL;
	for (size_t i = 0; i < n_names; i++) {
		const char *name = plain(names[i]);
		for (size_t row = 0; row < n_table; row++) {
			if ((found && !table[row].outer) || !glob(table[row].pattern, name))
				continue;
			found = &table[row];
			*ret_entry = i;
			break;
		}
	}
	return found;
}

bool cprof_wait_kind_knows(const char *name, bool releases)
{
	size_t entry;
	const struct named *table = releases ? releasing : waiting;
	const size_t n = releases ? sizeof(releasing) / sizeof(releasing[0])
				  : sizeof(waiting) / sizeof(waiting[0]);
	return tell_by_names(table, n, &name, 1, &entry) != NULL;
}

/* What glibc 2.36 passes, measured primitive by primitive; docs/block.md has the list. */
static enum cprof_wait_kind tell_by_futex(const struct cprof_wait *wait)
{
	uint32_t command = cprof_futex_command(wait->futex_op);
	bool shared = !cprof_futex_is_private(wait->futex_op);

	switch (command) {
	case FUTEX_LOCK_PI:
	case FUTEX_LOCK_PI2:
		return CPROF_WAIT_PI_MUTEX;
	case FUTEX_WAIT_REQUEUE_PI:
		return CPROF_WAIT_CONDVAR;
	case FUTEX_WAIT:
		if (wait->futex_val == 2)
			return CPROF_WAIT_MUTEX;
		if (wait->futex_val == FUTEX_WAITERS)
			return CPROF_WAIT_FUTURE;
		if (wait->futex_val & FUTEX_WAITERS)
			return CPROF_WAIT_ROBUST_MUTEX;
		return CPROF_WAIT_FUTEX;
	case FUTEX_WAIT_BITSET:
		if (wait->futex_val == 2)
			return CPROF_WAIT_MUTEX;
		if (wait->futex_val == 3)
			return CPROF_WAIT_RWLOCK;
		if (shared && wait->futex_val > 3)
			return CPROF_WAIT_JOIN;
		return wait->futex_val == 0 ? CPROF_WAIT_CONDVAR : CPROF_WAIT_FUTEX;
	default:
		return CPROF_WAIT_FUTEX;
	}
}

static enum cprof_wait_kind tell_by_syscall(int32_t syscall)
{
	if (syscall == CPROF_WAIT_NO_SYSCALL)
		return CPROF_WAIT_PAGE_FAULT;
	for (size_t i = 0; i < sizeof(syscalls) / sizeof(syscalls[0]); i++) {
		if (syscalls[i].number == syscall)
			return syscalls[i].kind;
	}
	return CPROF_WAIT_OTHER;
}

enum cprof_wait_kind cprof_wait_kind_by_number(const struct cprof_wait *wait)
{
	return wait->syscall == SYS_futex ? tell_by_futex(wait) : tell_by_syscall(wait->syscall);
}

/* The names know a mutex; only the numbers know what protocol it follows. */
static enum cprof_wait_kind with_protocol(enum cprof_wait_kind by_name,
					  enum cprof_wait_kind by_number)
{
	const bool knows = by_number == CPROF_WAIT_PI_MUTEX || by_number == CPROF_WAIT_ROBUST_MUTEX;
	return by_name == CPROF_WAIT_MUTEX && knows ? by_number : by_name;
}

enum cprof_wait_kind cprof_wait_kind_tell(enum cprof_wait_kind by_number, const char *const *names,
					  size_t n_names, size_t *ret_entry)
{
	*ret_entry = 0;
	const struct named *row = tell_by_names(waiting, sizeof(waiting) / sizeof(waiting[0]),
						names, n_names, ret_entry);
	if (!row)
		return by_number;
	/* Inside pthread_cond_wait a wait with a mutex's numbers is for getting the mutex back. */
	if (row->kind == CPROF_WAIT_CONDVAR && !row->outer &&
	    (by_number == CPROF_WAIT_MUTEX || by_number == CPROF_WAIT_PI_MUTEX ||
	     by_number == CPROF_WAIT_ROBUST_MUTEX))
		return by_number;
	return with_protocol(row->kind, by_number);
}

bool cprof_wait_kind_has_owner(enum cprof_wait_kind kind)
{
	return kind == CPROF_WAIT_MUTEX || kind == CPROF_WAIT_PI_MUTEX ||
	       kind == CPROF_WAIT_ROBUST_MUTEX || kind == CPROF_WAIT_RWLOCK ||
	       kind == CPROF_WAIT_JOIN;
}

enum cprof_wait_kind cprof_wait_kind_tell_release(enum cprof_wait_kind by_number,
						  const char *const *names, size_t n_names,
						  size_t *ret_entry)
{
	*ret_entry = 0;
	const struct named *row = tell_by_names(releasing, sizeof(releasing) / sizeof(releasing[0]),
						names, n_names, ret_entry);
	return row ? with_protocol(row->kind, by_number) : by_number;
}

bool cprof_wait_kind_is_lock(enum cprof_wait_kind kind)
{
	return kind == CPROF_WAIT_MUTEX || kind == CPROF_WAIT_PI_MUTEX ||
	       kind == CPROF_WAIT_ROBUST_MUTEX || kind == CPROF_WAIT_RWLOCK ||
	       kind == CPROF_WAIT_ONCE || kind == CPROF_WAIT_GIL || kind == CPROF_WAIT_FUTEX;
}
