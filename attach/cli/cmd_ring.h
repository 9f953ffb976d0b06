/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_ring.h - -ring TIME: a process is recorded all the time, and a file written when something happens.
 */
#ifndef CPROF_ATTACH_CLI_CMD_RING_H
#define CPROF_ATTACH_CLI_CMD_RING_H

#include "attach/cli/cli_options.h"
#include "attach/cli/opened_targets.h"
#include "cprof/error.h"

struct cprof_cmd_ring { /* all borrowed */
	struct cprof_attach_options *options;
	const struct cprof_opened_targets *opened;
	const char *command_line;
	void (*say)(void *ctx, const char *text);
	void *ctx;
};

/*
 * Until Ctrl-C, -seconds or the end of the target. Errors: USAGE, those of the mode and of the conditions; that a file could not be
 * written, which is said when it happens, too.
 */
struct cprof_error *cprof_cmd_ring(const struct cprof_cmd_ring *command);

#endif
