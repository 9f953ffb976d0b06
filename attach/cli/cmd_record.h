/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_record.h - one profile: open the targets, sample them for a window, write, send and show what came of it.
 */
#ifndef CPROF_ATTACH_CLI_CMD_RECORD_H
#define CPROF_ATTACH_CLI_CMD_RECORD_H

#include "attach/cli/cli_options.h"
#include "attach/cli/console.h"
#include "attach/cli/opened_targets.h"
#include "attach/run/run_log.h"

struct cprof_cmd_record {                     /* all borrowed */
	struct cprof_attach_options *options; /* what names processes is filled in */
	const char *command_line;
	struct cprof_opened_targets *opened; /* closed by the caller, after everything else */
	struct cprof_run_log *log;
	struct cprof_console *console;
};

/*
 * Does all of that, and says how it went. The exit status: 0, an error's own, that of a launched command, 10 for a deadlock with
 * -exit-code, 130 where it was aborted. Attaches as the mode says (mode.h); the target is as before when it returns.
 */
int cprof_cmd_record(const struct cprof_cmd_record *command);

#endif
