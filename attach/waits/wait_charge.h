/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_charge.h - who pays for a wait: the mutex profile's rule, for one process.
 *
 * Go's rule since 1.22: an unlock is charged with the time that everybody who waits at that moment has
 * waited, the head of the queue and those behind it, and then all their clocks start anew; so each
 * nanosecond of waiting is charged once, to the release that ended it, and a slow holder pays for the whole
 * queue. Go approximates the queue by the mean of head and tail; kept here is the exact sum.
 *
 * Pure: a tier tells it what happens, in the order of time. The BPF program keeps the same sums in the kernel.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_CHARGE_H
#define CPROF_ATTACH_WAITS_WAIT_CHARGE_H

#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_wait_lock {
	uint64_t waiters;
	uint64_t since_sum_ns; /* sum of the times since which each of them is uncharged */
	uint64_t released_ns;  /* the last release, when their clocks started anew */
	uint64_t debt_ns;      /* uncharged time of those who gave up waiting since then */
};

struct cprof_wait_charge {
	struct cprof_map64 by_addr;    /* futex address -> index in locks */
	struct cprof_wait_lock *locks; /* owned */
	uint32_t n_locks, cap_locks;
};

/* A zeroed struct is ready for use. */
void cprof_wait_charge_deinit(struct cprof_wait_charge *charge);

/* A thread begins to wait for `addr`. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_charge_begin(struct cprof_wait_charge *charge, uint64_t addr,
					    uint64_t now_ns);

/*
 * A thread stops waiting without anybody's release (timeout, signal). Whoever releases next pays for that time too: he
 * was made to wait, and a lock that is waited for in slices (Python's global lock: 5 ms) has hardly other waits.
 * `began_ns` as given to begin.
 */
void cprof_wait_charge_abandon(struct cprof_wait_charge *charge, uint64_t addr, uint64_t began_ns,
			       uint64_t now_ns);

/*
 * `woken` threads are woken by one release at `now_ns`. Returns the nanoseconds that the release has to answer
 * for, 0 where nobody was known to wait.
 */
uint64_t cprof_wait_charge_release(struct cprof_wait_charge *charge, uint64_t addr, uint64_t woken,
				   uint64_t now_ns);

#endif
