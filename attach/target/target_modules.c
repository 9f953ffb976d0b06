/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/target_modules.h"

void cprof_target_modules_init(struct cprof_target_modules *all, struct cprof_target *target,
			       uint64_t budget)
{
	cprof_target_mem_init(&all->memory, target);
	cprof_maps_init(&all->maps, cprof_target_living_tid(target),
			cprof_target_mem_view(&all->memory));
	cprof_modules_init(&all->modules);
	all->modules.budget.factor = budget;
}

void cprof_target_modules_deinit(struct cprof_target_modules *all)
{
	cprof_modules_deinit(&all->modules);
	cprof_maps_deinit(&all->maps);
}
