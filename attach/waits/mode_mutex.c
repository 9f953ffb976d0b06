/* -mode mutex: who makes others wait, by the stack that released the lock. */
#include "attach/waits/wait_intake.h"

static struct cprof_error *run_mutex(const struct cprof_mode_run *run,
				     struct cprof_profile **ret_profile)
{
	return cprof_wait_run(run, true, ret_profile);
}

extern const struct cprof_mode cprof_mode_mutex;
const struct cprof_mode cprof_mode_mutex = {
	.name = "mutex",
	.summary = "who makes others wait, by the stack that released the lock",
	.max_targets = 1,
	.alters_target = false,
	.run = run_mutex,
};
