/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/locks/wait_settle.h - whether a wait is contention, once the numbers and the names have had their say.
 *
 * The numbers of a futex call are a guess: a pool that counts its jobs waits with 2 some day, as a mutex does. Where no
 * function is known by name the guess is held against what else is known: words in the names of the program's own functions
 * ("lock"), the library that made the call, how the word was used (wait_evidence.h), whether the owner is a thread.
 * A futex for which nothing of that speaks is no lock: it is a parking place. Semaphores are told by their use alone.
 */
#ifndef CPROF_ATTACH_LOCKS_WAIT_SETTLE_H
#define CPROF_ATTACH_LOCKS_WAIT_SETTLE_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/locks/wait_evidence.h"
#include "attach/locks/wait_kind.h"

struct cprof_wait_settle_input {
	enum cprof_wait_kind told;      /* by names where some is known, else by_number */
	enum cprof_wait_kind by_number; /* of a futex call */
	bool known;                     /* a function is known by name */
	const char *const *names;       /* the innermost functions, from the innermost outwards */
	size_t n_names;
	const char *module; /* path of the innermost file that is not the C library; "" unknown */
	const struct cprof_wait_evidence *evidence; /* of the word */
	bool owner_lives; /* robust mutexes and joins: the wait's value is a thread that lives */
	bool tells_wakes; /* who ends a wait is known, as far as futex calls did it */
	bool releases;    /* the stack and the evidence are of releases */
};

struct cprof_wait_verdict {
	enum cprof_wait_kind kind;
	bool contends;
};

/* For futex calls only: other waits are what they are. */
struct cprof_wait_verdict cprof_wait_settle(const struct cprof_wait_settle_input *input);

/* Whether a file of this path is a C library or its loader, which wait on behalf of others. */
bool cprof_wait_settle_is_libc(const char *path);

/* Whether a function's name has a lock's word in it: "drop_the_lock_slow", "SpinLock::Acquire", not "clock_block". */
bool cprof_wait_settle_names_lock(const char *name, bool releases);

#endif
