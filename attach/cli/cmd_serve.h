/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_serve.h - cprof-attach -http ADDRESS: /debug/pprof/ for one process or many, until Ctrl-C.
 */
#ifndef CPROF_ATTACH_CLI_CMD_SERVE_H
#define CPROF_ATTACH_CLI_CMD_SERVE_H

#include "attach/cli/cli_options.h"
#include "cprof/error.h"

struct cprof_cmd_serve {
	const struct cprof_attach_options *options;
	int argc; /* read again with the file of options: SIGHUP */
	char *const *argv;
	const char *command_line;
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *ctx;
};

/* Until SIGTERM or Ctrl-C. Errors: those of cprof_serve(); USAGE. */
struct cprof_error *cprof_cmd_serve(const struct cprof_cmd_serve *command);

#endif
