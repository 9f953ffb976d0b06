/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_tier.h"

#include <string.h>

const struct cprof_wall_tier cprof_wall_tiers[] = {
	{ .name = "bpf",
	  .exactly =
		  "each thread's time by every switch of the scheduler, exact; its stacks by samples "
		  "and by the waits that were kept",
	  .ledger = &cprof_ledger_source_bpf,
	  .waits = "bpf",
	  .samples = true },
	{ .name = "perf",
	  .exactly =
		  "each thread's time by the scheduler's statistics, births and ends by perf's records; "
		  "where it waits by looking every so often",
	  .ledger = &cprof_ledger_source_proc,
	  .waits = "proc",
	  .samples = true,
	  .looks = true },
	{ .name = "proc",
	  .exactly =
		  "each thread's time by the scheduler's statistics, where it waits by looking every so "
		  "often; time on a CPU has no stacks",
	  .ledger = &cprof_ledger_source_proc,
	  .waits = "proc",
	  .looks = true },
};
const size_t cprof_wall_n_tiers = sizeof(cprof_wall_tiers) / sizeof(cprof_wall_tiers[0]);

struct cprof_error *cprof_wall_tier_find(const char *name, const struct cprof_wall_tier **ret_tier)
{
	*ret_tier = NULL;
	if (strcmp(name, "auto") == 0)
		return NULL;
	for (size_t i = 0; i < cprof_wall_n_tiers; i++) {
		if (strcmp(cprof_wall_tiers[i].name, name) != 0)
			continue;
		*ret_tier = &cprof_wall_tiers[i];
		return NULL;
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "-wall-method: there is no \"%s\"", name);
	return cprof_error_hint(err, "methods are auto, bpf, perf and proc");
}
