/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/lock_word.h - what the bytes of a lock say: its kind, and who holds it.
 *
 * Owns the layouts of other people's locks: glibc's pthread_mutex_t (all types), pthread_rwlock_t and
 * stdio locks, musl's pthread_mutex_t, and the kernel's PI and robust words. Decodes bytes only; which thread waits where
 * is lock_wait.h's.
 *
 * Sources of truth: futex(2); glibc sysdeps/nptl/bits/struct_mutex.h, struct_rwlock.h and
 * nptl/pthread_rwlock_common.c (the same on x86-64 and AArch64); musl src/internal/pthread_impl.h. Thread ids in lock words are
 * those of the target's own pid namespace.
 */
#ifndef CPROF_ATTACH_LOCKS_LOCK_WORD_H
#define CPROF_ATTACH_LOCKS_LOCK_WORD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cprof/memory.h"

/* How far behind a glibc mutex's futex word its owner's thread id stands. */
#define CPROF_LOCK_WORD_OWNER_OFFSET 8

enum cprof_lock_kind {
	CPROF_LOCK_NONE,
	CPROF_LOCK_MUTEX, /* glibc types by their names in pthread_mutexattr_settype(3) */
	CPROF_LOCK_MUTEX_RECURSIVE,
	CPROF_LOCK_MUTEX_ERRORCHECK,
	CPROF_LOCK_MUTEX_ADAPTIVE,
	CPROF_LOCK_MUTEX_PI,
	CPROF_LOCK_MUTEX_ROBUST,
	CPROF_LOCK_MUTEX_RUST, /* std::sync::Mutex: its word has no owner */
	CPROF_LOCK_RWLOCK_READ,
	CPROF_LOCK_RWLOCK_WRITE,
	CPROF_LOCK_JOIN,     /* the thread waited for is the owner */
	CPROF_LOCK_INTERNAL, /* libc's own: malloc arena, stdio stream; no owner */
	CPROF_LOCK_CONDVAR,
	CPROF_LOCK_SEMAPHORE,
	CPROF_LOCK_BARRIER,
	CPROF_LOCK_ONCE,
	CPROF_LOCK_FUTURE,
	CPROF_LOCK_ATOMIC, /* std::atomic::wait, std::latch, std::counting_semaphore */
	CPROF_LOCK_PARK,  /* Rust's thread::park, on which channels and blocking queues are built */
	CPROF_LOCK_FUTEX, /* a futex of which nothing more is known */
	CPROF_LOCK_N,
};

/* "mutex", "rwlock read", "join", ...; "" for NONE. */
const char *cprof_lock_kind_name(enum cprof_lock_kind kind);

/* Somebody holds it, so that waiting for it is waiting for a thread: contention, not idleness. */
bool cprof_lock_kind_is_owned(enum cprof_lock_kind kind);

struct cprof_lock_word {
	enum cprof_lock_kind kind;
	uint64_t addr;    /* of the lock object, not of the futex word in it */
	pid_t owner;      /* in the target's pid namespace; 0: none or not known */
	uint32_t readers; /* of a rwlock */
	bool plausible;   /* every field has a value that this lock can have */
	bool owner_died;  /* robust and PI: the kernel noted that the owner ended */
};

/*
 * A glibc mutex whose futex word is at `addr`. False: unreadable. Check `plausible` before believing
 * the rest: any memory may stand there.
 */
bool cprof_lock_word_glibc_mutex(const struct cprof_memory *memory, uint64_t addr,
				 struct cprof_lock_word *ret);

/* A glibc rwlock that begins at `addr`. `kind` stays what the caller sets: the words don't tell who asks. */
bool cprof_lock_word_glibc_rwlock(const struct cprof_memory *memory, uint64_t addr,
				  struct cprof_lock_word *ret);

/* A musl mutex whose futex word (the second int) is at `addr`. Normal ones hold no owner. */
bool cprof_lock_word_musl_mutex(const struct cprof_memory *memory, uint64_t addr,
				struct cprof_lock_word *ret);

/*
 * Who holds the glibc lock that a futex call `op` waits for with `val`, by what stands behind the futex word at `addr` where a
 * mutex has its owner, or a rwlock its writer: 12 or 16 bytes behind its two words, with zeros between. 0: nobody, or unreadable.
 * Any memory may stand there: to be believed only where it is the number of a thread.
 */
uint32_t cprof_lock_word_beside(const struct cprof_memory *memory, uint64_t addr, uint32_t op,
				uint32_t val);

/* A word that the kernel knows to hold a thread id (PI, robust). */
bool cprof_lock_word_owned(const struct cprof_memory *memory, uint64_t addr,
			   struct cprof_lock_word *ret);

#endif
