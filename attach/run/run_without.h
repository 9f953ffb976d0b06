/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/run_without.h - a run of several processes goes on without one that has ended before it could be sampled.
 */
#ifndef CPROF_ATTACH_RUN_RUN_WITHOUT_H
#define CPROF_ATTACH_RUN_RUN_WITHOUT_H

#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "cprof/error.h"

/*
 * What came of `err`, which is about `target` (one of `targets`; NULL is allowed): NO_TARGET, while another one lives, is a warning in the
 * log, told once, and NULL; the target counts as ended from now on. Anything else is given back as it is.
 */
struct cprof_error *cprof_run_without(struct cprof_run_log *log,
				      struct cprof_target *const *targets, size_t n_targets,
				      struct cprof_target *target, struct cprof_error *err);

#endif
