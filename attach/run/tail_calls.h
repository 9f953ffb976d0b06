/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/tail_calls.h - functions that left by a tail call put back into the stacks of a run.
 *
 * A function whose last act is a call may jump there instead, and its frame is gone: a lock is released by
 * "jmp pthread_mutex_unlock", and the stack shows who called the one that held it. But the return address follows a call, and where
 * that call names F while another function G is found running, F has left by jumps that lead to G. Those are looked for in F's
 * code; F itself is shown wherever it can be told, functions between F and G only where there is one way from F to G.
 *
 * After the window, once for each distinct pair of a caller and what it called. Reads files and, for words of linkage tables, the process's
 * memory; does not stop it.
 */
#ifndef CPROF_ATTACH_RUN_TAIL_CALLS_H
#define CPROF_ATTACH_RUN_TAIL_CALLS_H

#include "attach/run/mapping_numbers.h"
#include "cprof/error.h"
#include "symbolize/names/names.h"

/*
 * Give the samples of numbers->builder stacks with those frames, each at the jump by which it left. `naming` as in tail_way.h.
 * `*ret_added`: frames put into distinct stacks. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_tail_calls_restore(struct cprof_mapping_numbers *numbers,
					     struct cprof_names_options naming,
					     uint64_t *ret_added);

#endif
