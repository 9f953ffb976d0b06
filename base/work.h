/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/work.h - a piece of work in a process of its own: looking at a target, recording it, making a report.
 *
 * What can fail on other people's files and memory fails there, and the server goes on. A work is asked to end by closing a
 * pipe, and so it ends by itself, and leaves the target as it was found, when the server has been killed.
 */
#ifndef CPROF_BASE_WORK_H
#define CPROF_BASE_WORK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/work_result.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * Runs in the new process, which has no descriptors but stdin, stdout, stderr, `stop_fd`, which becomes readable when it should end,
 * and `ask_fd` (-1: none was given). Signals of the terminal do not reach it.
 */
typedef struct cprof_error *cprof_work_fn(void *ctx, int stop_fd, int ask_fd,
					  struct cprof_buffer *ret_bytes);

struct cprof_work {
	pid_t pid;   /* 0: none */
	int stop_fd; /* owned; the end that is closed */
	struct cprof_work_reader reader;
};

/* A work that was never started. */
#define CPROF_WORK_NONE ((struct cprof_work){ .stop_fd = -1, .reader = { .fd = -1 } })

/* `name` is shown by ps(1). `ctx` is copied with the process. `ask_fd` stays the caller's. Errors: OS. */
struct cprof_error *cprof_work_start(const char *name, cprof_work_fn *fn, void *ctx, int ask_fd,
				     struct cprof_work *ret_work);

/* Ask it to end; its result can be read still. */
void cprof_work_ask_end(struct cprof_work *work);

/* Ask it to end, and forget it: cprof_work_reap() sees it off. */
void cprof_work_end(struct cprof_work *work);

/*
 * A descriptor that becomes readable when a work has ended, which cprof_work_reap() makes quiet again; the caller's. From
 * now on SIGCHLD is blocked. Errors: OS.
 */
struct cprof_error *cprof_work_watch(int *ret_fd);

/* See off what has ended. False: nothing of ours is left. */
bool cprof_work_reap(int watch_fd);

#endif
