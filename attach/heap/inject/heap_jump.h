/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_jump.h - put planned jumps in place: the moment at which the target's code changes.
 *
 * Owns what has to be so before a jump may be written, the threads that stand under it, and the writing. All of it with
 * the target's threads standing still. Works on the hooks that are PLANNED; taking a jump back is heap_restore.h's.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_JUMP_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_JUMP_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/inject/heap_hook.h"
#include "attach/target/ptrace.h"
#include "cprof/error.h"

/* The code is still what was relocated. hooks->maps must be fresh. Errors: UNSUPPORTED (it changed), those of reading. */
struct cprof_error *cprof_heap_jump_check(const struct cprof_heap_hooks *hooks,
					  const struct cprof_ptrace *trace);

/* Would somebody come back from a signal handler into the middle of a jump? */
bool cprof_heap_jump_awaited(const struct cprof_heap_hooks *hooks,
			     const struct cprof_ptrace *trace);

/*
 * Write the jumps, the trampolines being there already; threads in the instructions that give way go on in the copies of
 * these. Those that are in place are PATCHED, also on error, and *patched is raised by each.
 */
struct cprof_error *cprof_heap_jump_put(struct cprof_heap_hooks *hooks, struct cprof_ptrace *trace,
					uint32_t *patched);

#endif
