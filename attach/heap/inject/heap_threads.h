/*
 * attach/heap/inject/heap_threads.h - what stands where in a stopped process: code under a thread's feet, stacks, thread ids.
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

/*
 * Where the C library keeps a thread's id, as an offset from the thread pointer; the same for all threads. 0: not
 * found. `ns_tids`: the ids as the threads themselves know them, in the order of trace->threads.
 */
uint32_t cprof_heap_threads_tid_offset(const struct cprof_ptrace *trace, const uint32_t *ns_tids);

/* That id of a thread: the last in "NSpid:" of its status. 0 if it cannot be told. */
uint32_t cprof_heap_threads_ns_tid(pid_t pid, pid_t tid);

/*
 * The part of a stack that stays mapped as long as its thread lives, given its stack pointer and thread pointer:
 * the main thread's [stack], or from the start of the mapping to the thread pointer that lies in it. False where
 * that is not so (coroutines, signal stacks).
 */
bool cprof_heap_threads_bounds(const struct cprof_maps *maps, uint64_t sp, uint64_t thread_pointer,
			       uint64_t *ret_start, uint64_t *ret_end);

#endif
