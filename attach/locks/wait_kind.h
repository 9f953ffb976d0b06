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
	CPROF_WAIT_FUTEX,   /* a futex of nobody we know */
	CPROF_WAIT_CONDVAR, /* from here on: parked */
	CPROF_WAIT_FUTURE,
	CPROF_WAIT_ATOMIC, /* std::atomic::wait, latch */
	CPROF_WAIT_PARK,   /* a thread's own parking place: Rust's park, Go's idle threads */
	CPROF_WAIT_POLL,
	CPROF_WAIT_SLEEP,
	CPROF_WAIT_IO,
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

/*
 * The kind, where the numbers say `by_number`. `names` are the functions from the innermost outwards, inlined ones
 * included, as in the profile; CPROF_WAIT_NAMES of them suffice. `*ret_entry` is the index of the function that
 * users know as the one that waits ("pthread_mutex_lock"): what is further in is of no interest. 0 where nothing was
 * recognized.
 */
#define CPROF_WAIT_NAMES 24
enum cprof_wait_kind cprof_wait_kind_tell(enum cprof_wait_kind by_number, const char *const *names,
					  size_t n_names, size_t *ret_entry);

/* The same for the stack of a release: "pthread_mutex_unlock". `by_number` is what the waiters' call said. */
enum cprof_wait_kind cprof_wait_kind_tell_release(enum cprof_wait_kind by_number,
						  const char *const *names, size_t n_names,
						  size_t *ret_entry);

/* Whether a function of this name is one that users know as waiting (`releases`: as ending waits). */
bool cprof_wait_kind_knows(const char *name, bool releases);

/* Whether it is held and released by somebody, which is what the mutex profile is about. */
bool cprof_wait_kind_is_lock(enum cprof_wait_kind kind);

/* A short word for a blocking system call: "epoll_wait"; NULL where the number has no row. */
const char *cprof_wait_syscall_name(int32_t syscall);

/* Whether it is one of the futex family (futex, futex_wait, futex_waitv). */
bool cprof_wait_is_futex(int32_t syscall);

/* Whether a lock of this kind has an owner that its memory or the wait's value tells. */
bool cprof_wait_kind_has_owner(enum cprof_wait_kind kind);

#endif
