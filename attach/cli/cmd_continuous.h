/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_continuous.h - cprof-attach -push URL -every TIME: profiles for ever, into the spool and to the servers.
 */
#ifndef CPROF_ATTACH_CLI_CMD_CONTINUOUS_H
#define CPROF_ATTACH_CLI_CMD_CONTINUOUS_H

#include "attach/cli/cli_options.h"
#include "cprof/error.h"

struct cprof_cmd_continuous {
	const struct cprof_attach_options
		*options; /* borrowed; those to start with: SIGHUP may bring others */
	int argc;
	char *const *argv;
	const char *command_line;
	void (*say)(void *ctx, const char *text); /* a line for people, unless they want none */
	void *ctx;
};

/*
 * Until SIGTERM, Ctrl-C, the end of -seconds or of all processes. Errors: those of cprof_continuous_run(); USAGE; UNDELIVERED where
 * profiles were given up, or wait in the spool when it ends.
 */
struct cprof_error *cprof_cmd_continuous(const struct cprof_cmd_continuous *command);

#endif
