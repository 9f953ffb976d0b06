/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/wait_kind.h - what a thread waits for: told by the system call, the futex operation and value, and the
 * names of the innermost functions.
 *
 * The operation and the value say much without any symbols (a glibc mutex waits with value 2, a joined thread's
 * id is the value), but not everything: a semaphore and a condition variable look alike. So the names decide
 * where they are known, and the numbers where they are not. docs/block.md has the table for people.
 */
#ifndef CPROF_ATTACH_LOCKS_WAIT_KIND_H
#define CPROF_ATTACH_LOCKS_WAIT_KIND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/locks/wait.h"

enum cprof_wait_kind {
	CPROF_WAIT_MUTEX,
	CPROF_WAIT_PI_MUTEX,
	CPROF_WAIT_ROBUST_MUTEX,
	CPROF_WAIT_RWLOCK,
	CPROF_WAIT_SEMAPHORE,
	CPROF_WAIT_BARRIER,
	CPROF_WAIT_JOIN,
	CPROF_WAIT_ONCE,
	CPROF_WAIT_GIL,     /* an interpreter's global lock, made of a condition variable */
	CPROF_WAIT_FUTEX,   /* the library's own, in a function that waits for other threads */
	CPROF_WAIT_CONDVAR, /* from here on: parked */
	CPROF_WAIT_FUTURE,
	CPROF_WAIT_ATOMIC, /* std::atomic::wait, latch */
	CPROF_WAIT_PARK, /* a parking place: Rust's, Go's, idle pools, any futex that is no lock */
	CPROF_WAIT_POLL,
	CPROF_WAIT_SLEEP,
	CPROF_WAIT_IO,
	CPROF_WAIT_DISK,    /* the same, and a disk was what was waited for */
	CPROF_WAIT_PROCESS, /* wait4 and its kin */
	CPROF_WAIT_FILE_LOCK,
	CPROF_WAIT_PAGE_FAULT,
	CPROF_WAIT_OTHER,
	CPROF_WAIT_KIND_N,
};

/* For the label `kind`: "mutex", "condvar", ... */
const char *cprof_wait_kind_name(enum cprof_wait_kind kind);

/* True: somebody makes it wait (contention). False: it waits for work to come (parked). */
bool cprof_wait_kind_contends(enum cprof_wait_kind kind);

/* What the numbers alone say: the first half of telling. */
enum cprof_wait_kind cprof_wait_kind_by_number(const struct cprof_wait *wait);

/* Whether it is held and released by somebody, which is what the mutex profile is about. */
bool cprof_wait_kind_is_lock(enum cprof_wait_kind kind);

/* A short word for a blocking system call: "epoll_wait"; NULL where the number has no row. */
const char *cprof_wait_syscall_name(int32_t syscall);

/* Whether it is one of the futex family (futex, futex_wait, futex_waitv). */
bool cprof_wait_is_futex(int32_t syscall);

/* Whether a lock of this kind has an owner that its memory or the wait's value tells. */
bool cprof_wait_kind_has_owner(enum cprof_wait_kind kind);

#endif
