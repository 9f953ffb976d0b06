/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/lock_wait.h - what a blocked thread waits for: from its system call, the words of the lock and the
 * names of its innermost functions to a kind, an address and an owner.
 *
 * Neither source is enough alone: a semaphore and a condition variable make the same call, and the bytes behind an
 * arbitrary futex may look like an owner. So: kind by call and names, owner only from words that are plausible for
 * that kind and name a living thread of the target.
 *
 * Source of truth for the calls: futex(2); what glibc 2.36, libstdc++ and Rust call was observed with strace
 * (docs/threads.md has the table). Layouts are lock_word.h's.
 */
#ifndef CPROF_ATTACH_LOCKS_LOCK_WAIT_H
#define CPROF_ATTACH_LOCKS_LOCK_WAIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/locks/lock_word.h"
#include "attach/target/shared_page.h"
#include "attach/target/thread_proc.h"
#include "cprof/memory.h"

struct cprof_lock_wait_input {
	const struct cprof_thread_call *call;
	const char *const *names; /* functions of the stack, innermost first; "" where unknown */
	size_t n_names;
	const struct cprof_memory *memory;

	/* The tid in our /proc of the target's thread that calls itself `ns_tid`; 0: no such thread lives. */
	pid_t (*thread_of)(void *ctx, pid_t ns_tid);
	/* The same for threads of other processes that share the lock at `addr`. NULL: nobody can be asked. */
	enum cprof_foreign (*foreign_of)(void *ctx, uint64_t addr, pid_t ns_tid,
					 struct cprof_shared_page_thread *ret);
	void *ctx;
};

struct cprof_lock_wait {
	enum cprof_lock_kind kind; /* NONE: not waiting for a lock */
	uint64_t
		addr; /* of the lock object where that is known, else of the futex word; 0: that is none of the lock's */
	pid_t owner;     /* tid in our /proc; 0: not known */
	pid_t owner_pid; /* its process, where that is another than the target; 0: the target */
	char owner_process[CPROF_THREAD_NAME_MAX]; /* and what that is called */
	pid_t gone_owner;   /* the word names this thread (its own number), but it does not live */
	pid_t unseen_owner; /* the same, but it may live in a process that we cannot tell from here */
	uint32_t readers;   /* rwlock: held by so many readers */
	bool timed;         /* the wait ends by itself */
	bool refused; /* a PI mutex whose wait the kernel refused, since it would never end: glibc sleeps for ever then, and nothing says for which */
	bool shared;  /* of one that was refused: who waits for it may be of another process */
	const char *call; /* name of the system call, "" where not in one; static */
};

/* Decode; never fails: what is not understood is CPROF_LOCK_FUTEX or NONE with the name of the call. */
void cprof_lock_wait_decode(const struct cprof_lock_wait_input *input, struct cprof_lock_wait *ret);

/* The name of system call `nr` of this CPU where it is one that blocks; NULL for others. */
const char *cprof_lock_wait_call_name(int64_t nr);

#endif
