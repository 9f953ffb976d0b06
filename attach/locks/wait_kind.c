/* SPDX-License-Identifier: Apache-2.0 */
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
	[CPROF_WAIT_DISK]         = { "disk",         false },
	[CPROF_WAIT_PROCESS]      = { "process",      false },
	[CPROF_WAIT_FILE_LOCK]    = { "file_lock",    true  },
	[CPROF_WAIT_PAGE_FAULT]   = { "page_fault",   false },
	[CPROF_WAIT_OTHER]        = { "other",        false },
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
	const enum cprof_wait_kind kind =
		wait->syscall == SYS_futex ? tell_by_futex(wait) : tell_by_syscall(wait->syscall);
	return wait->disk && (kind == CPROF_WAIT_IO || kind == CPROF_WAIT_OTHER) ? CPROF_WAIT_DISK
										 : kind;
}

bool cprof_wait_kind_has_owner(enum cprof_wait_kind kind)
{
	return kind == CPROF_WAIT_MUTEX || kind == CPROF_WAIT_PI_MUTEX ||
	       kind == CPROF_WAIT_ROBUST_MUTEX || kind == CPROF_WAIT_RWLOCK ||
	       kind == CPROF_WAIT_JOIN;
}

bool cprof_wait_kind_is_lock(enum cprof_wait_kind kind)
{
	return kind == CPROF_WAIT_MUTEX || kind == CPROF_WAIT_PI_MUTEX ||
	       kind == CPROF_WAIT_ROBUST_MUTEX || kind == CPROF_WAIT_RWLOCK ||
	       kind == CPROF_WAIT_ONCE || kind == CPROF_WAIT_GIL;
}
