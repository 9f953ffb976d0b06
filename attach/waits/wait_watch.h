/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_watch.h - waits being watched: the tier that was chosen, and the rate that follows the load.
 *
 * Between a run, which has the window and the profile (wait_run.h, and the wall mode's), and the tiers (wait_tier.h). Which
 * tier it is: the one asked for, else the first of the table that is permitted and tells what is wanted.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_WATCH_H
#define CPROF_ATTACH_WAITS_WAIT_WATCH_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/waits/wait_intake.h"
#include "attach/waits/wait_tier.h"
#include "cprof/error.h"

struct cprof_wait_watch {
	struct cprof_wait_intake *intake;   /* borrowed */
	const struct cprof_wait_tier *tier; /* that was chosen */
	bool open;
	void *state; /* owned; the tier's */
	struct cprof_wait_pace pace;
	uint64_t paced_ns, records, lost; /* what had come in when the rate was last set */
};

/* How intake->request is to be followed: a rate of its own, or the load's, which begins at intake->rate_ns. Before anything else. */
void cprof_wait_watch_rate(struct cprof_wait_intake *intake);

/*
 * Choose and open. Waits are seen from now on. Errors: USAGE (no such method), DENIED, UNSUPPORTED, OS, NO_TARGET,
 * NO_MEMORY; nothing is to be closed then.
 */
struct cprof_error *cprof_wait_watch_open(struct cprof_wait_intake *intake,
					  struct cprof_wait_watch *ret_watch);
void cprof_wait_watch_close(struct cprof_wait_watch *watch);

/* The window has begun. */
void cprof_wait_watch_start(struct cprof_wait_watch *watch);

/* What makes a drain worth while, and how long it may wait at most. */
size_t cprof_wait_watch_fds(struct cprof_wait_watch *watch, struct pollfd *fds, size_t cap);
uint64_t cprof_wait_watch_pause_ns(const struct cprof_wait_watch *watch);

/* What is new in the process: where its threads have a context (attach/context/contexts.h). Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_watch_look(struct cprof_wait_watch *watch);

/* Waits bear it from now on. Errors: UNSUPPORTED: the tier cannot read it; NO_MEMORY. */
struct cprof_error *cprof_wait_watch_place(struct cprof_wait_watch *watch,
					   const struct cprof_context_place *place);

/* Take what has come; what was lost is in the run's log. Errors: the tier's. */
struct cprof_error *cprof_wait_watch_drain(struct cprof_wait_watch *watch);

/* After a drain: the rate follows the load. */
void cprof_wait_watch_pace(struct cprof_wait_watch *watch);

/* The window is over: waits that are not over are taken as far as they lie in it, and the tier tells of the whole. */
struct cprof_error *cprof_wait_watch_end(struct cprof_wait_watch *watch);

#endif
