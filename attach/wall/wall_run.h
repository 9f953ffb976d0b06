/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_run.h - one run of the wall mode: where all of every thread's time goes, on a CPU, waiting for one, or off it.
 *
 * Joins what others see: CPU samples (attach/cpu/cpu_run_feed.h), waits with their stacks (attach/waits/wait_watch.h), and
 * the account of every thread (ledger_source.h), which says how much time there is to be divided. Owns the choice of the
 * tier, which is these three together, and the window. Changes nothing in the target and stops nobody.
 */
#ifndef CPROF_ATTACH_WALL_WALL_RUN_H
#define CPROF_ATTACH_WALL_WALL_RUN_H

#include "attach/run/run.h"
#include "attach/wall/wall_request.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_WALL_PROCESSES_MAX 16 /* each has programs and rings of its own in the kernel */

/* Of one target or several. Errors: USAGE, DENIED, UNSUPPORTED, NO_TARGET, OS, NO_MEMORY. */
struct cprof_error *cprof_wall_run(const struct cprof_run *run,
				   const struct cprof_wall_request *request,
				   struct cprof_profile **ret_profile);

#endif
