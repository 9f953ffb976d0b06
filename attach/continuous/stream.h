/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/continuous/stream.h - one mode of one process, window after window.
 *
 * Asks the recording for what it has when a window ends, has the window cut out of that, and hands it over. It never blocks and never
 * asks twice at once: where one round takes longer than a window, the next window is longer, and nothing is lost or counted twice.
 */
#ifndef CPROF_ATTACH_CONTINUOUS_STREAM_H
#define CPROF_ATTACH_CONTINUOUS_STREAM_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/continuous/cut.h"
#include "attach/serve/channel.h"

struct cprof_stream {
	const struct cprof_mode *mode;
	struct cprof_channels *channels;     /* borrowed */
	const struct cprof_subject *subject; /* borrowed */
	struct cprof_channel
		*channel; /* NULL: none records; always of a mode that is a look at a moment */
	struct cprof_profile_form form;
	enum cprof_stream_stage {
		CPROF_STREAM_IDLE,
		CPROF_STREAM_ASKING,  /* for a part */
		CPROF_STREAM_LOOKING, /* at a moment */
		CPROF_STREAM_HOLDING, /* a part that is to be cut, as soon as that may be done */
		CPROF_STREAM_CUTTING,
	} stage;
	struct cprof_buffer
		first;            /* owned; the part that the last window ended with; empty: none */
	struct cprof_buffer last; /* owned; the part that this window ends with */
	struct cprof_buffer
		after; /* owned; what the recording had at its end, while this one is cut */
	uint64_t
		until_ns; /* mono; where the last window ended of a mode that has windows (attach/modes/mode.h); 0: none has */
	struct cprof_work_reader reader;
	struct cprof_work work;
};

/* `subject` and `channels` outlive it. Errors: USAGE (a mode that cannot be had in windows). */
struct cprof_error *cprof_stream_init(struct cprof_stream *stream, const struct cprof_mode *mode,
				      const struct cprof_subject *subject,
				      struct cprof_channels *channels);

/* What is under way is forgotten; the recording is the channels' to end. */
void cprof_stream_deinit(struct cprof_stream *stream);

/*
 * Begin to record. Errors: those of cprof_channels_use(); NULL where it records already, has nothing to record, or has to cut the last
 * window of the recording before.
 */
struct cprof_error *cprof_stream_start(struct cprof_stream *stream);

/* A window ends now; not if one is being cut still. Errors: OS. */
struct cprof_error *cprof_stream_end_window(struct cprof_stream *stream);

/* Its recording has ended; what that had at its end is the last window. */
void cprof_stream_recording_ended(struct cprof_stream *stream, struct cprof_channel *channel);

/* What it waits for, appended at n: at most one. */
size_t cprof_stream_poll(const struct cprof_stream *stream, struct pollfd *fds, size_t n);

/*
 * Go on. `works` are those at work of all streams. True: a window is there, in *cut (the caller's). Errors go to *ret_err: what is lost is
 * one window's attempt, and its samples are in the next one.
 */
bool cprof_stream_run(struct cprof_stream *stream, unsigned *works, struct cprof_buffer *cut,
		      struct cprof_error **ret_err);

/*
 * Have the part that it holds cut, if there are fewer works than works_max. After cprof_stream_run() of all streams, each of which may
 * have ended a work: what is held then waits for a work that goes on, and nothing else would wake it. Errors: OS.
 */
struct cprof_error *cprof_stream_cut(struct cprof_stream *stream, unsigned *works,
				     unsigned works_max);

#endif
