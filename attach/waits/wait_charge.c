/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_charge.h"

#include <stdlib.h>

#include "base/array.h"

void cprof_wait_charge_deinit(struct cprof_wait_charge *charge)
{
	cprof_map64_deinit(&charge->by_addr);
	free(charge->locks);
	*charge = (struct cprof_wait_charge){ 0 };
}

static struct cprof_wait_lock *find(const struct cprof_wait_charge *charge, uint64_t addr)
{
	uint64_t *index = cprof_map64_get(&charge->by_addr, addr);
	return index ? &charge->locks[*index] : NULL;
}

static struct cprof_wait_lock *find_or_add(struct cprof_wait_charge *charge, uint64_t addr)
{
	struct cprof_wait_lock *lock = find(charge, addr);
	if (lock)
		return lock;
	if (!CPROF_ARRAY_ROOM(charge->locks, charge->n_locks, charge->cap_locks, 1))
		return NULL;
	uint64_t *index = cprof_map64_put(&charge->by_addr, addr, NULL);
	if (!index)
		return NULL;
	*index = charge->n_locks;
	charge->locks[charge->n_locks] = (struct cprof_wait_lock){ 0 };
	return &charge->locks[charge->n_locks++];
}

struct cprof_error *cprof_wait_charge_begin(struct cprof_wait_charge *charge, uint64_t addr,
					    uint64_t now_ns)
{
	struct cprof_wait_lock *lock = find_or_add(charge, addr);
	if (!lock)
		return cprof_error_no_memory();
	lock->waiters++;
	lock->since_sum_ns += now_ns;
	return NULL;
}

void cprof_wait_charge_abandon(struct cprof_wait_charge *charge, uint64_t addr, uint64_t began_ns,
			       uint64_t now_ns)
{
	struct cprof_wait_lock *lock = find(charge, addr);
	if (!lock || lock->waiters == 0)
		return;
	lock->waiters--;
	uint64_t since_ns = began_ns > lock->released_ns ? began_ns : lock->released_ns;
	lock->since_sum_ns -= since_ns;
	lock->debt_ns += now_ns > since_ns ? now_ns - since_ns : 0;
	if (lock->waiters == 0)
		lock->since_sum_ns = 0;
}

uint64_t cprof_wait_charge_release(struct cprof_wait_charge *charge, uint64_t addr, uint64_t woken,
				   uint64_t now_ns)
{
	struct cprof_wait_lock *lock = find(charge, addr);
	if (!lock || lock->waiters == 0 || woken == 0)
		return 0;
	/* Unsigned sums may wrap; their difference is right as long as the true one fits. */
	uint64_t charged_ns = lock->waiters * now_ns - lock->since_sum_ns + lock->debt_ns;
	lock->debt_ns = 0;
	lock->waiters -= woken < lock->waiters ? woken : lock->waiters;
	lock->since_sum_ns = lock->waiters * now_ns;
	lock->released_ns = now_ns;
	return (int64_t)charged_ns > 0 ? charged_ns : 0;
}
