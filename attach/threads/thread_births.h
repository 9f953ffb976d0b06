/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_births.h - who starts threads: the stack of each call of clone(2) or clone3(2) that asked for one.
 *
 * Seen at the call's entry by a tracepoint, so that nothing is stopped and nothing is paid but when a thread starts. Threads that ran
 * before are not in it, and calls that start processes neither. Source of truth: clone(2) "CLONE_THREAD", syscall(2)
 * "Architecture calling conventions".
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_BIRTHS_H
#define CPROF_ATTACH_THREADS_THREAD_BIRTHS_H

#include "attach/run/run.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* The run function of the mode: type threadcreate/count. Errors: DENIED, UNSUPPORTED (no such tracepoints), NO_TARGET, OS, NO_MEMORY. */
struct cprof_error *cprof_thread_births_run(const struct cprof_run *run,
					    struct cprof_profile **ret_profile);

#endif
