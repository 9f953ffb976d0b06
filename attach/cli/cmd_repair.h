/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_repair.h - cprof-attach -repair PID: remove what a killed heap profile left in a process, and say what that was.
 */
#ifndef CPROF_ATTACH_CLI_CMD_REPAIR_H
#define CPROF_ATTACH_CLI_CMD_REPAIR_H

#include <stdbool.h>
#include <sys/types.h>

#include "cprof/error.h"

struct cprof_cmd_repair {
	pid_t pid;
	void (*say)(void *ctx, const char *text); /* a line for people */
	void *ctx;
};

/* Stops the process as cprof_heap_repair() does; its errors. *ret_kept: a page had to stay, so it is worth another try. */
struct cprof_error *cprof_cmd_repair(const struct cprof_cmd_repair *command, bool *ret_kept);

#endif
