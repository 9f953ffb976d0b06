/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_left.h - breakpoints of uprobes that nobody holds any more, and how they are taken out.
 *
 * A tracer that gets SIGKILL while it closes its uprobes may leave them in the target's memory: the kernel gives up
 * where it finds the signal pending ("failed to unregister, leaking uprobe" in its log). Linux 6.18 takes such a one out when
 * it is hit; a function that is hardly ever called keeps it. A uprobe put on the same place and taken off again takes the
 * old one with it, and does nothing to one that another tool still holds.
 *
 * Looks at the pages only that the process has of its own in its files' code. Does not stop the target.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_LEFT_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_LEFT_H

#include <stdint.h>

#include "attach/target/target_mem.h"
#include "cprof/error.h"
#include "cprof/maps.h"

struct cprof_heap_uprobe_left {
	uint32_t removed;
	uint32_t held; /* those that are in use by another tool, or a debugger's */
	char path[96]; /* the file of the last of those; as much of it as fits */
};

/* `maps` must be fresh, and `mem` the same process's. Errors: DENIED (there are some, and we may not), NO_MEMORY. */
struct cprof_error *cprof_heap_uprobe_left_remove(const struct cprof_maps *maps,
						  struct cprof_target_mem *mem,
						  struct cprof_heap_uprobe_left *ret_left);

#endif
