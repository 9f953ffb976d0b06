/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/launch.h - start a command so that it can be profiled from its first instruction.
 *
 * The child waits on a pipe until everything is in place, then becomes the command.
 */
#ifndef CPROF_ATTACH_TARGET_LAUNCH_H
#define CPROF_ATTACH_TARGET_LAUNCH_H

#include <sys/types.h>

#include "base/options.h"
#include "cprof/error.h"

struct cprof_launch {
	pid_t pid;      /* 0: none */
	int go_fd;      /* owned; closing it without a byte ends the child */
	int exec_fd;    /* owned; carries errno if the exec failed, else closes */
	int exec_errno; /* after cprof_launch_go(); 0: the command runs */
};

/* Fork the child that will become `command`. It runs nothing of it before cprof_launch_go(). */
struct cprof_error *cprof_launch_start(const struct cprof_strings *command,
				       struct cprof_launch *ret_launch);

/* Let it go; returns when the exec has succeeded or failed. */
void cprof_launch_go(struct cprof_launch *launch);

/* Wait for its end: its exit status, 128 + N if signal N ended it, 127 or 126 if it could not be started. */
int cprof_launch_wait(struct cprof_launch *launch);

/* Ends a child that was never let go; one that was is left alone. */
void cprof_launch_deinit(struct cprof_launch *launch);

#endif
