/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_sharers.h - does another process run in the target's memory?
 *
 * clone(2) with CLONE_VM and without CLONE_THREAD makes one: it executes the same code, but is no thread of the target, so
 * nothing stops it while that code is changed.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_SHARERS_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_SHARERS_H

#include <sys/types.h>

/*
 * The id of such a process, or 0. `pid` may be one whose first thread has ended. A child between vfork and exec is none: it is waited for,
 * up to three seconds. 0 too where the kernel cannot tell (CONFIG_KCMP) or does not let us.
 */
pid_t cprof_heap_sharer(pid_t pid);

#endif
