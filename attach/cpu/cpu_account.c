/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/cpu/cpu_account.h"

#include "base/clock.h"

#define LEAST_PERIODS 10
#define LEAST_NS      (CPROF_NS_PER_S / 5)

static bool used(const struct cprof_cpu_account *account, uint64_t *ret_ns)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < account->n; i++) {
		uint64_t user, system;
		if (account->targets[i]->exited ||
		    !cprof_target_cpu_time(account->targets[i], &user, &system))
			return false;
		sum += account->user_only ? user : user + system;
	}
	*ret_ns = sum;
	return true;
}

void cprof_cpu_account_start(struct cprof_cpu_account *account, struct cprof_target *const *targets,
			     size_t n, bool user_only)
{
	*account = (struct cprof_cpu_account){ .targets = targets, .n = n, .user_only = user_only };
	account->known = used(account, &account->before_ns);
}

void cprof_cpu_account_stop(struct cprof_cpu_account *account)
{
	uint64_t now = 0;
	account->known = account->known && used(account, &now) && now >= account->before_ns;
	account->used_ns = account->known ? now - account->before_ns : 0;
}

bool cprof_cpu_account_short(uint64_t used_ns, uint64_t sampled_ns, uint64_t period_ns)
{
	if (sampled_ns >= used_ns / 2)
		return false;
	uint64_t missing = used_ns - sampled_ns;
	return missing >= LEAST_NS && missing / period_ns >= LEAST_PERIODS;
}
