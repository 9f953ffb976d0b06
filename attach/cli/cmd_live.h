/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_live.h - cprof-attach top -p PID: a table of what a process does now, on the terminal or as text.
 */
#ifndef CPROF_ATTACH_CLI_CMD_LIVE_H
#define CPROF_ATTACH_CLI_CMD_LIVE_H

#include "attach/cli/cli_options.h"
#include "attach/cli/opened_targets.h"
#include "cprof/error.h"

struct cprof_cmd_live {
	const struct cprof_attach_options *options;
	struct cprof_opened_targets *opened; /* one process, which is taken */
	const char *command_line;
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *ctx;
};

/* Until the user or the process ends it. Errors: those of cprof_live_run(); USAGE (a mode that cannot be watched, several processes). */
struct cprof_error *cprof_cmd_live(const struct cprof_cmd_live *command);

#endif
