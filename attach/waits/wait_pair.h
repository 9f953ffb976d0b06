/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_pair.h - from entries and returns of futex calls to waits and releases, without the kernel's help.
 *
 * The perf tier sees both as records in the order of time. A wait begins at its entry and ends at its return, or
 * rather a little before: at the last wake on the same address by another thread, because what comes after that is
 * waiting for a CPU. Pure: fed with numbers, no process needed.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_PAIR_H
#define CPROF_ATTACH_WAITS_WAIT_PAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/locks/wait.h"
#include "attach/waits/wait_charge.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/memory.h"

struct cprof_wait_pair_thread {
	uint64_t entered_ns; /* of the call it is in; 0: in none that we know of */
	uint64_t addr;
	uint32_t op, val;
	uint32_t
		owner; /* thread id beside or in the futex word, as read during the wait; 0 unknown */
	bool owner_read; /* or tried to, in this wait */
	uint32_t wakes;  /* on its address before it went to sleep there */
	/* It was taken from its address to another one, a lock's, as far as can be told while it sleeps. */
	uint64_t moved_ns; /* 0: it was not */
	uint64_t to_addr;
	uint32_t mover;
	uint32_t to_wakes; /* on that address before it came there */
	bool to_pi;
};

#define CPROF_WAIT_PAIR_WAKERS 16

struct cprof_wait_pair_wake {
	uint64_t at_ns;
	uint32_t tid;
	uint32_t op, val; /* of the last waiter that went to sleep there */
	uint32_t n;       /* wakes so far, and who made the last of them */
	uint32_t wakers[CPROF_WAIT_PAIR_WAKERS];
};

struct cprof_wait_pair {
	struct cprof_map64 by_tid, by_addr;     /* -> index */
	struct cprof_wait_pair_thread *threads; /* owned */
	struct cprof_wait_pair_wake *wakes;     /* owned */
	uint32_t n_threads, cap_threads, n_wakes, cap_wakes;
	uint32_t joins; /* threads in a wait that ends with another thread, at most */
	struct cprof_wait_charge charge;
	bool releases;    /* keep account of who owes whom */
	uint64_t from_ns; /* waits count from then on at the earliest */
};

/* A zeroed struct (with `releases` set or not) is ready for use. */
void cprof_wait_pair_deinit(struct cprof_wait_pair *pair);

/* In the place of an operation: the call is futex_waitv, `addr` its list of words. */
#define CPROF_WAIT_PAIR_WAITV 0x40000000u

/* Thread `tid` enters futex(addr, op, val). Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_pair_enter(struct cprof_wait_pair *pair, uint32_t tid,
					  uint64_t now_ns, uint64_t addr, uint32_t op,
					  uint32_t val);

/*
 * The call that `tid` has just entered is a requeue: those who sleep on its address, but for as many as it wakes, go on to
 * `to`, at most `n` of them, in the order in which they came. Whether it really took them is seen when they return: then the
 * last wake was there. Nothing is done for another call. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wait_pair_requeue(struct cprof_wait_pair *pair, uint32_t tid, uint64_t to,
					    uint64_t n);

#define CPROF_WAIT_PAIR_PARTS 2

/*
 * Its call returns `ret`. How many waits that was which slept: 0 or 1, or 2 where a requeue moved the thread: the one for the
 * condition variable, then the one for the lock. `waits` has room for CPROF_WAIT_PAIR_PARTS and describes them, each with
 * count 1 and its times. In `releases` it is 1 for a wake that ended waits somebody is charged for.
 */
unsigned cprof_wait_pair_exit(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now_ns,
			      int64_t ret, struct cprof_wait *waits);

/* Thread `tid` has ended: that is the wake of those who join it, made by the kernel without any call. */
void cprof_wait_pair_ended(struct cprof_wait_pair *pair, uint32_t tid, uint64_t now_ns);

/*
 * Read from `memory` who owns the mutexes that threads wait for now; once per wait. Short waits are over before that: of
 * those the owner is who made the first wake after they began, for it held the lock, or it would not have released it.
 */
void cprof_wait_pair_read_owners(struct cprof_wait_pair *pair, const struct cprof_memory *memory);

/* Since when `tid` has been in a wait; false if it is in none. */
bool cprof_wait_pair_since(const struct cprof_wait_pair *pair, uint32_t tid, uint64_t *ret_ns);

#endif
