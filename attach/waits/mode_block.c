/* -mode block: where threads wait, and for how long. */
#include "attach/waits/wait_intake.h"

static struct cprof_error *run_block(const struct cprof_mode_run *run,
				     struct cprof_profile **ret_profile)
{
	return cprof_wait_run(run, false, ret_profile);
}

extern const struct cprof_mode cprof_mode_block;
const struct cprof_mode cprof_mode_block = {
	.name = "block",
	.summary = "where threads wait: locks first, idle waits apart",
	.max_targets = 1,
	.alters_target = false,
	.run = run_block,
};
