/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_sources.h"

#include <stdlib.h>

#include "base/clock.h"

const struct cprof_baseline_source *const cprof_baseline_sources[] = {
	&cprof_baseline_glibc,    &cprof_baseline_jemalloc, &cprof_baseline_musl,
	&cprof_baseline_musl_old, &cprof_baseline_mimalloc, &cprof_baseline_gperftools,
	&cprof_baseline_google,
};
/* To find an allocator takes some thousands, in a browser up to 70,000; so many take some half a second. */
#define FIND_LOOKS (96u << 10)

const size_t cprof_n_baseline_sources =
	sizeof(cprof_baseline_sources) / sizeof(cprof_baseline_sources[0]);

static struct cprof_error *read_one(const struct cprof_baseline_source *source,
				    const struct cprof_baseline_target *target,
				    struct cprof_baseline_account *account)
{
	void *place = NULL;
	cprof_baseline_memory_limit(target->memory, FIND_LOOKS);
	struct cprof_error *err = source->find(target, &place);
	const bool spent = cprof_baseline_memory_spent(target->memory);
	cprof_baseline_memory_limit(target->memory, UINT64_MAX);
	if (!place && spent)
		account->not_found = source->name;
	if (err || !place)
		return err;
	cprof_baseline_memory_forget(target->memory);
	err = source->read(target, place, account);
	if (source->free_place)
		source->free_place(place);
	else
		free(place);
	return err;
}

struct cprof_error *cprof_baseline_read(const struct cprof_baseline_target *target,
					struct cprof_baseline_account *account)
{
	const uint64_t began_ns = cprof_clock_cpu_ns();
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < cprof_n_baseline_sources; i++)
		err = read_one(cprof_baseline_sources[i], target, account);
	account->took_ns = cprof_clock_cpu_ns() - began_ns;
	return err;
}
