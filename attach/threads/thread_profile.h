/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_profile.h - a resolved snapshot as rows of a profile of type threads/count.
 *
 * One sample per thread with labels; threads with one stack and the same labels count together. The labels are what
 * docs/threads.md lists: thread, tid, state, wait, lock, owner_tid, waited, stuck, deadlock, why.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_PROFILE_H
#define CPROF_ATTACH_THREADS_THREAD_PROFILE_H

#include "attach/run/session.h"
#include "attach/threads/thread.h"
#include "cprof/error.h"

/* Add all threads of `snapshot`, of `process`, to the session's builder. Errors: NO_MEMORY. */
struct cprof_error *cprof_thread_profile_add(struct cprof_session *session,
					     struct cprof_process *process,
					     const struct cprof_thread_snapshot *snapshot);

#endif
