/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_proof.h - can a function be left in any other way than by its own return?
 *
 * A frame of ours below a function's is only safe if nothing unwinds past it (exceptions, longjmp, cancellation), swaps the
 * stack under it, or never comes back on this thread. That is shown here, by following the function and all that it calls: direct
 * calls in the object, and in other objects only what is on a list (code_known.h).
 *
 * Outside of it: signal handlers that longjmp out of whatever they interrupt; a function of the list that somebody has
 * interposed with one that throws.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_PROOF_H
#define CPROF_ATTACH_HEAP_CODE_CODE_PROOF_H

#include "attach/heap/code/code_object.h"

/*
 * *ret_why is NULL if the function at file address `start` ends by its own return only (or not at all: abort); else
 * what stands against it, for people, which the caller frees. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_code_proof_returns(struct cprof_code_object *object, uint64_t start,
					     char **ret_why);

#endif
