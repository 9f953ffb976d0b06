/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/resident/stack_claims.h - which anonymous memory is stacks of threads.
 *
 * The kernel knows only the first thread's by name. The others are the mappings in which stack pointers are, and those of
 * the same length that lie behind a guard in the same way: of a thread that runs just now the kernel does not tell the
 * stack pointer, and the C library keeps stacks of ended threads for new ones. Where a stack has become one mapping with its
 * neighbours, as many bytes count to both sides of the stack pointer as a new thread's stack may have.
 *
 * Source of truth: proc(5) "/proc/pid/syscall", "/proc/pid/limits". Does not stop the target.
 */
#ifndef CPROF_ATTACH_HEAP_RESIDENT_STACK_CLAIMS_H
#define CPROF_ATTACH_HEAP_RESIDENT_STACK_CLAIMS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/heap/resident/resident.h"
#include "attach/heap/resident/smaps.h"
#include "cprof/error.h"

#define CPROF_STACK_CLAIMS_LINE "stacks of threads"

/*
 * Claim the stacks for the line of that name, behind `rank` - 1. `tids` are its threads; of at most 4,096 of them the stack
 * pointer is asked. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_stack_claims_read(struct cprof_resident *resident,
					    const struct cprof_smaps *smaps, pid_t pid,
					    const pid_t *tids, size_t n_tids, uint32_t rank);

/* The same from stack pointers; `stack_bytes`: what a stack has where nothing else is known. `sps` is sorted. */
struct cprof_error *cprof_stack_claims_add(struct cprof_resident *resident,
					   const struct cprof_smaps *smaps, uint64_t *sps,
					   size_t n_sps, uint64_t stack_bytes, uint32_t rank);

#endif
