/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_run.h - one run of the block or mutex mode, from its request to its profile.
 *
 * Owns the choice of the tier (wait_tier.h), the window with the rate that follows the load, and what the profile says of
 * how its numbers came about. What waits are open at the window's end is wait_edges.h's, kinds, labels and sample
 * types are wait_profile.h's.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_RUN_H
#define CPROF_ATTACH_WAITS_WAIT_RUN_H

#include "attach/run/run.h"
#include "attach/waits/wait_request.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* The run function of both modes. Does not stop the target. Errors: USAGE, DENIED, UNSUPPORTED, NO_TARGET, OS, NO_MEMORY. */
struct cprof_error *cprof_wait_run(const struct cprof_run *run,
				   const struct cprof_wait_request *request,
				   struct cprof_profile **ret_profile);

#endif
