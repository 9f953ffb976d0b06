/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_threads.h - what stands where in a stopped process: code under a thread's feet, stacks.
 *
 * Reads only; what follows from it is for the caller to decide.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_THREADS_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_THREADS_H

#include "attach/heap/shim/shim_proto.h"
#include "attach/target/ptrace.h"
#include "cprof/error.h"
#include "cprof/maps.h"

/*
 * Will some thread return from a signal handler into one of `ranges`? Its registers are then in a signal frame on its
 * stack, which is known by its return address: code that calls rt_sigreturn(2). True if there is no memory to look.
 */
bool cprof_heap_threads_return_into(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
				    const struct cprof_shim_range *ranges, size_t n_ranges);

/* Is some thread executing in one of `ranges` right now? */
bool cprof_heap_threads_run_in(const struct cprof_ptrace *trace,
			       const struct cprof_shim_range *ranges, size_t n_ranges);

/* Does some word on some thread's stack, from its stack pointer up, lie in one of `ranges`? True if there is no memory to look. */
bool cprof_heap_threads_point_into(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
				   const struct cprof_shim_range *ranges, size_t n_ranges);

/* A stack of which more is known than that the page of the stack pointer is there: the fields of struct cprof_shim_slot. */
struct cprof_heap_stack {
	uint64_t start, end;
	uint64_t record, block, block_bytes; /* record 0: none */
};

/*
 * What is known of the stack that `sp` is on, of a thread with that thread pointer. True for two kinds: the kernel's
 * [stack], whose mapping grows downwards and for that is never joined with another; and a stack of which the C library's own record of this
 * thread, at its thread pointer, says that it is this thread's, with the guard below it that the record speaks of. A mapping alone proves nothing: stacks of
 * coroutines are joined with what lies beside them.
 */
bool cprof_heap_threads_stack(const struct cprof_maps *maps, uint64_t sp, uint64_t thread_pointer,
			      struct cprof_heap_stack *ret_stack);

/*
 * What is below the stack pointers of threads that are on such stacks, less the part that a function may use without moving
 * it: at most `cap` ranges. Nobody comes back to what is left there. Returns their number.
 */
size_t cprof_heap_threads_dead(const struct cprof_ptrace *trace, const struct cprof_maps *maps,
			       struct cprof_shim_range *ranges, size_t cap);

#endif
