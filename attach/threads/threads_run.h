/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/threads_run.h - every thread's stack now, whom it waits for, and who waits for each other.
 *
 * Takes snapshots of processes (thread_view.h) or of a core file, and hands out text, a profile or both. Does not stop the
 * target unless asked to.
 */
#ifndef CPROF_ATTACH_THREADS_THREADS_RUN_H
#define CPROF_ATTACH_THREADS_THREADS_RUN_H

#include "attach/run/run.h"
#include "attach/threads/threads_request.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/*
 * Look, and hand out the profile of the last snapshot. Deadlocks are counted in run->log. Errors: USAGE (a command that
 * has not begun yet), DENIED, NO_TARGET, BAD_DATA (a core file), OS, NO_MEMORY, and those of `print`.
 */
struct cprof_error *cprof_threads_run(const struct cprof_run *run,
				      const struct cprof_threads_request *request,
				      struct cprof_profile **ret_profile);

#endif
