/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/live/live.h - a process watched as it works: window after window of a mode, on a screen or as plain tables.
 *
 * Owns the loop. The recording is a process of its own (attach/continuous/followed.h), which samples on whatever the screen does, and
 * windows follow each other without a gap. While the table is frozen no window ends: the next one is longer.
 */
#ifndef CPROF_ATTACH_LIVE_LIVE_H
#define CPROF_ATTACH_LIVE_LIVE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/modes/mode.h"
#include "attach/run/run.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/* Borrowed, all of it but the target. */
struct cprof_live {
	struct cprof_target *target; /* taken */
	const struct cprof_mode *mode;
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* borrowed; as in run.h */
	const char *command_line;
	uint64_t every_ns;  /* how long a window is */
	uint64_t length_ns; /* of all; 0: until it is told to end */
	int stop_fd;        /* readable: end */
	bool screen;        /* stdin and stdout are a terminal */
	bool utf8;

	/* Save a profile, in pprof's format. Appends to `text` what has become of it, for people. */
	void (*save)(void *ctx, const uint8_t *bytes, size_t n, struct cprof_buffer *text);
	/* A table, where there is no screen. *ret_over: nobody reads it any more. Errors: it could not be written. */
	struct cprof_error *(*print)(void *ctx, const char *text, size_t n, bool *ret_over);
	void (*say)(void *ctx,
		    const char *text); /* a line for people, while the terminal is not ours */
	void *ctx;
};

/*
 * Until the user, `stop_fd`, the time or the target ends it; then the terminal and the target are as they were found, also where a recording
 * was killed. Errors: why the mode cannot be had, or nothing can be printed; NO_MEMORY, OS.
 */
struct cprof_error *cprof_live_run(const struct cprof_live *live);

#endif
