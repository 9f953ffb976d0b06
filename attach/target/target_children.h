/*
 * attach/target/target_children.h - the processes that a process has started, and how much they have worked.
 *
 * Source of truth: proc(5) "/proc/pid/stat" (cutime, cstime: of children that were waited for) and
 * "/proc/pid/task/tid/children".
 */
#ifndef CPROF_ATTACH_TARGET_TARGET_CHILDREN_H
#define CPROF_ATTACH_TARGET_TARGET_CHILDREN_H

#include <stdint.h>
#include <sys/types.h>

/*
 * Processor time of all processes that descend from `pid`, not its own: of those that it waited for and of those that run, in
 * ns, to the kernel's tick. What has ended unwaited for is missing, and so is all of a process that is gone: 0.
 */
uint64_t cprof_target_children_cpu_ns(pid_t pid);

#endif
