/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/run_without.h"

static bool another_lives(struct cprof_target *const *targets, size_t n,
			  const struct cprof_target *target)
{
	for (size_t i = 0; i < n; i++) {
		if (targets[i] != target && cprof_target_alive(targets[i]))
			return true;
	}
	return false;
}

struct cprof_error *cprof_run_without(struct cprof_run_log *log,
				      struct cprof_target *const *targets, size_t n_targets,
				      struct cprof_target *target, struct cprof_error *err)
{
	if (!err || err->code != CPROF_ERR_NO_TARGET || !another_lives(targets, n_targets, target))
		return err;
	cprof_error_free(err);
	cprof_target_ended(target);
	cprof_run_log_note(log, CPROF_NOTE_WARNING,
			   "process %d (%s) ended before it could be profiled: it is left out",
			   (int)target->pid, target->comm);
	return NULL;
}
