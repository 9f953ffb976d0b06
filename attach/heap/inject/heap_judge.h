/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_judge.h - which functions a frame of ours may stand below, and whose callers may know too much.
 *
 * Owns the rules that go beyond the bytes of a patch (heap_code.h's): what the slow path does to a function that it calls, and
 * for which functions that is no harm. The facts are attach/heap/code's.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_JUDGE_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_JUDGE_H

#include "attach/heap/inject/heap_code.h"
#include "attach/heap/inject/heap_hook.h"

/* Settles which way into its stub a PLANNED hook takes: hook->light. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_judge_registers(const struct cprof_heap_code *code,
					       struct cprof_heap_hook *hook);

/*
 * Refuses a PLANNED hook where its function takes arguments on the stack, or may be left in another way than by its own return.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_heap_judge_frame(const struct cprof_heap_code *code,
					   struct cprof_heap_hook *hook);

#endif
