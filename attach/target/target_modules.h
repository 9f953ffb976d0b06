/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/target_modules.h - the files that a target has mapped, and where: for those who ask about names and record nothing.
 *
 * Owns the three that belong together: the target's memory, its map, and the files of it that were opened. Nobody is stopped.
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_MODULES_H
#define CPROF_ATTACH_TARGET_TARGET_MODULES_H

#include "attach/target/target.h"
#include "attach/target/target_mem.h"
#include "cprof/maps.h"
#include "cprof/module.h"

struct cprof_target_modules {
	struct cprof_target_mem memory;
	struct cprof_maps maps;
	struct cprof_modules modules;
};

/* Nothing is read yet. `target` is borrowed; `budget` as -budget: how many times the usual its files may cost. */
void cprof_target_modules_init(struct cprof_target_modules *all, struct cprof_target *target,
			       uint64_t budget);
void cprof_target_modules_deinit(struct cprof_target_modules *all);

#endif
