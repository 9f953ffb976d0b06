/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/opened_targets.h - the processes that the command line names, opened: by id, by name, a command that is started, a core
 * file in a process's place; with -children also what they have started.
 */
#ifndef CPROF_ATTACH_CLI_OPENED_TARGETS_H
#define CPROF_ATTACH_CLI_OPENED_TARGETS_H

#include "attach/cli/cli_options.h"
#include "attach/run/run_log.h"
#include "attach/target/launch.h"
#include "attach/target/target.h"
#include "cprof/error.h"

struct cprof_opened_targets {
	struct cprof_target **all; /* owned, with room for `n` */
	size_t n;
	struct cprof_launch launch; /* of a command; its pid is 0 where there is none */
};

/*
 * Into zeros. A command stands before its first instruction until cprof_launch_go(). A child that cannot be looked at is a warning
 * in `log`. Errors: NO_TARGET, DENIED, USAGE, OS; what is open by then stays so, until it is closed.
 */
struct cprof_error *cprof_opened_targets_open(struct cprof_opened_targets *opened,
					      struct cprof_attach_options *options,
					      struct cprof_run_log *log);
void cprof_opened_targets_close(struct cprof_opened_targets *opened);

#endif
