/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_children.h - has the target forked processes that still run its program?
 *
 * They have its breakpoints in their copy of its memory. Those that were there before and what they fork in their turn count as well.
 * Source of truth: proc(5) "/proc/pid/task/tid/children".
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_CHILDREN_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_CHILDREN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CPROF_HEAP_UPROBE_CHILDREN 256 /* looked at; of more the others are not seen */

struct cprof_heap_uprobe_children {
	pid_t known[CPROF_HEAP_UPROBE_CHILDREN]; /* when it was last looked */
	size_t n;
};

/* Look again: is there one that was not there the last time? */
bool cprof_heap_uprobe_children_came(struct cprof_heap_uprobe_children *children, pid_t pid);

#endif
