/*
 * attach/heap/uprobe/heap_uprobe_try.h - may the kernel put its own return address in the place of a process's?
 *
 * Where it does, a call comes back by a system call of its own on Linux 6.11 and later, which up to 6.13 meets the
 * thread's seccomp filter. And a shadow stack must be changed along with it, which Linux 6.6 to 6.10 do not do.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_TRY_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_TRY_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Must the return addresses of process `pid` be left as they are? A seccomp filter is told by trying what one does that kills,
 * in a child of ours; where that cannot be tried, and with shadow stacks, the answer is yes.
 */
bool cprof_heap_uprobe_try_spare(pid_t pid);

/* The trial alone: a child under such a filter came back from a function with a probe on its return. */
bool cprof_heap_uprobe_try_filter(void);

#endif
