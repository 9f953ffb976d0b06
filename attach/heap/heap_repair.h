/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_repair.h - remove from a process what a killed heap profile left in it, whichever means it used.
 *
 * Injected code is heap_shim_left.h's, breakpoints of uprobes are heap_uprobe_left.h's.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_REPAIR_H
#define CPROF_ATTACH_HEAP_HEAP_REPAIR_H

#include <sys/types.h>

#include "attach/heap/inject/heap_shim_left.h"
#include "attach/heap/uprobe/heap_uprobe_left.h"
#include "cprof/error.h"

struct cprof_heap_repair {
	struct cprof_heap_shim_left shim;
	struct cprof_heap_uprobe_left breakpoints;
};

/* Finding nothing is no error. Errors: those of both, and NO_TARGET. */
struct cprof_error *cprof_heap_repair(pid_t pid, struct cprof_heap_repair *ret_repair);

#endif
