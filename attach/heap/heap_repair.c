/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_repair.h"

#include <stdlib.h>

#include "attach/target/target.h"
#include "attach/target/target_mem.h"
#include "attach/target/thread_look.h"
#include "base/cleanup.h"
#include "cprof/maps.h"

static struct cprof_error *repair(struct cprof_target *target, struct cprof_maps *maps,
				  struct cprof_target_mem *mem,
				  struct cprof_heap_repair *ret_repair)
{
	struct cprof_error *err = cprof_thread_look_memory(target);
	if (!err)
		err = cprof_heap_shim_left_remove(target, maps, &ret_repair->shim);
	if (!err)
		err = cprof_maps_refresh(maps);
	return err ? err : cprof_heap_uprobe_left_remove(maps, mem, &ret_repair->breakpoints);
}

struct cprof_error *cprof_heap_repair(pid_t pid, struct cprof_heap_repair *ret_repair)
{
	struct cprof_target *target;
	struct cprof_error *err = cprof_target_open(pid, &target);
	if (err)
		return err;
	CPROF_AUTO(free) struct cprof_target_mem *mem = malloc(sizeof(*mem));
	if (!mem) {
		cprof_target_close(target);
		return cprof_error_no_memory();
	}
	struct cprof_maps maps;
	*ret_repair = (struct cprof_heap_repair){ 0 };
	cprof_target_mem_init(mem, target);
	cprof_maps_init(&maps, pid, cprof_target_mem_view(mem));
	err = repair(target, &maps, mem, ret_repair);
	cprof_maps_deinit(&maps);
	cprof_target_close(target);
	return err;
}
