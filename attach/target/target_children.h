/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/target_children.h - the processes that a process has started, and how much they have worked.
 *
 * Source of truth: proc(5) "/proc/pid/stat" (cutime, cstime: of children that were waited for) and
 * "/proc/pid/task/tid/children".
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_CHILDREN_H
#define CPROF_ATTACH_TARGET_TARGET_CHILDREN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/target/target.h"
#include "cprof/error.h"

/*
 * Processor time of all processes that descend from `pid`, not its own: of those that it waited for and of those that run, in
 * ns, to the kernel's tick. What has ended unwaited for is missing, and so is all of a process that is gone: 0.
 */
uint64_t cprof_target_children_cpu_ns(pid_t pid);

/* Those that run now, grandchildren included, 4,096 at most; the caller's to free. Fewer where there is no memory. */
void cprof_target_children_list(pid_t pid, pid_t **ret_pids, size_t *ret_n);

/*
 * The process `pid` as a child of `parent`, from which it is a copy so far: it may have ended by now, so that nothing is asked
 * of /proc. One that has ended is marked so, but what happened before is still its own. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_target_children_open(pid_t pid, const struct cprof_target *parent,
					       struct cprof_target **ret_target);

/* It has ended, as a record says: nothing is asked of its id any more. */
void cprof_target_children_ended(struct cprof_target *target);

#endif
