/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/window.h - how long a run samples, and who may end it earlier: the clock, a signal, the targets' end.
 *
 * Owns the waiting. What arrives while waiting is the mode's; where signals come from is main.c's, which
 * hands in a descriptor that becomes readable (an HTTP server hands in another one).
 */
#ifndef CPROF_ATTACH_RUN_WINDOW_H
#define CPROF_ATTACH_RUN_WINDOW_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/run/run_log.h"
#include "attach/run/snapshots.h"
#include "attach/target/target.h"

enum cprof_window_end {
	CPROF_WINDOW_OPEN,
	CPROF_WINDOW_TIME,    /* the time asked for is over */
	CPROF_WINDOW_STOPPED, /* stop_fd became readable: save what there is */
	CPROF_WINDOW_EXITED,  /* every target has ended */
};

struct cprof_window {
	uint64_t length_ns;            /* 0: until stopped or exited */
	int stop_fd;                   /* borrowed; never read from here; -1: none */
	struct cprof_target **targets; /* borrowed */
	size_t n_targets;

	struct cprof_snapshots
		*snapshots; /* borrowed; who may ask while it is open; NULL: nobody */

	/* Called by cprof_window_start(): lets a launched command go. May be NULL. */
	void (*on_start)(void *ctx);
	void *start_ctx;

	/* Called about once a second from cprof_window_wait(); may be NULL. */
	void (*progress)(void *ctx, const struct cprof_window *window,
			 const struct cprof_counts *counts);
	void *progress_ctx;
	uint64_t progress_every_ns;

	/* From cprof_window_start() on; main.c and comments read them. */
	uint64_t start_mono_ns, start_wall_ns, end_mono_ns;
	enum cprof_window_end end;
	uint64_t next_progress_ns;
	struct pollfd *poll; /* owned */
	size_t cap_poll;
};

void cprof_window_deinit(struct cprof_window *window);

/* The window begins now: the mode's events are in place. */
void cprof_window_start(struct cprof_window *window);

/*
 * Wait for one of `fds`, or for an ask of a snapshot (revents are filled as by poll(2); may be NULL with n 0), at most `at_most_ns`.
 * False once the window is over; window->end then says why, and end_mono_ns when. Marks targets that
 * ended (target->exited). Shows `counts` when progress is due.
 */
bool cprof_window_wait(struct cprof_window *window, struct pollfd *fds, size_t n_fds,
		       uint64_t at_most_ns, const struct cprof_counts *counts);

/* End it as if stop_fd had become readable. */
void cprof_window_stop(struct cprof_window *window);

/*
 * It is over, if it was not, and is no more than what of it lies in [from, until) of CLOCK_MONOTONIC: for a profile of the last
 * minute, made in a copy of the process or at the end.
 */
void cprof_window_look_back(struct cprof_window *window, uint64_t from_ns, uint64_t until_ns);

/* Since the start, or all of it once it is over. */
uint64_t cprof_window_elapsed_ns(const struct cprof_window *window);

#endif
