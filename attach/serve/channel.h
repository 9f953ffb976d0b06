/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/serve/channel.h - the recordings of one target: which run, who uses them, and why some cannot be had.
 *
 * A channel is a mode with what it was asked for. All who ask for the same share its recording. One that stays goes on until
 * the end; another one ends with its last user.
 */
#ifndef CPROF_ATTACH_SERVE_CHANNEL_H
#define CPROF_ATTACH_SERVE_CHANNEL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>

#include "attach/serve/ask.h"
#include "attach/serve/recording.h"
#include "cprof/buffer.h"

#define CPROF_CHANNELS_MAX 16

struct cprof_channel {
	const struct cprof_mode *mode; /* NULL: a place that is free */
	bool stays, running;
	unsigned users;
	double rate; /* as in struct cprof_ask */
	char event[CPROF_ASK_EVENT_MAX];
	uint64_t window_ns; /* as in struct cprof_channel_want */
	struct cprof_recording recording;
	struct cprof_buffer last;    /* owned; what it had at its end: cprof_subject.last */
	struct cprof_error *failure; /* owned; why it does not run any more */
	uint64_t failed_mono_ns;
	bool broke;        /* it did not end by itself: it is to be begun again */
	unsigned revivals; /* how often it was begun again by itself, since it went on for long */

	/* Of one that stays, owned; profiles as they were given out (profile_form.h). */
	struct cprof_recording_before before; /* `carry` is the last one */
	struct cprof_buffer told;             /* what the next delta begins at */
};

struct cprof_channels {
	const struct cprof_subject *subject; /* borrowed */
	unsigned *running; /* borrowed: how many recordings run, of all who share the count */
	unsigned running_max;
	struct cprof_counts *
		ended; /* borrowed: what recordings that have ended had counted, by mode, of all who share it */
	bool offered; /* of a stream: it is there to be used */
	struct cprof_channel all[CPROF_CHANNELS_MAX];
};

/* What somebody wants recorded; what is not said is as the server was told. */
struct cprof_channel_want {
	const struct cprof_mode *mode;
	bool stays;
	double rate;       /* as in struct cprof_ask */
	const char *event; /* NULL: as "" */
	uint64_t
		window_ns; /* of a mode with windows: the stretch of time that will be asked for; 0: the subject's */
};

/*
 * One that records what is asked for, started if there is none. Give it back by cprof_channel_leave(). Errors: why it could not be had a moment ago; UNSUPPORTED (as many different ones as may run do),
 * NO_MEMORY (as many as may run of all processes do); OS.
 */
struct cprof_error *cprof_channels_use(struct cprof_channels *channels,
				       const struct cprof_channel_want *want,
				       struct cprof_channel **ret_channel);
void cprof_channel_leave(struct cprof_channels *channels, struct cprof_channel *channel);

/*
 * `bytes` (borrowed) have been counted since the start: should the recording end before its time, the next one goes on from there, so that
 * who takes differences sees no count fall.
 */
void cprof_channel_carry(struct cprof_channel *channel, const struct cprof_buffer *bytes);

/* The one that stays, of this mode; NULL: none runs or has run. */
const struct cprof_channel *cprof_channels_find(const struct cprof_channels *channels,
						const char *mode);

/* Why it does not run any more, for the caller to own. */
struct cprof_error *cprof_channel_why(const struct cprof_channel *channel);

/* What to poll for, appended at n. */
size_t cprof_channels_poll(const struct cprof_channels *channels, struct pollfd *fds, size_t n);

/* Begin those again that stay and have ended without a reason of their own, such as a kill; and when that has to be done. */
void cprof_channels_revive(struct cprof_channels *channels, uint64_t mono_ns);
uint64_t cprof_channels_due_mono_ns(const struct cprof_channels *channels);

/* See which have ended; each of these is told to `ended`. */
void cprof_channels_run(struct cprof_channels *channels,
			void (*ended)(void *ctx, const struct cprof_channel *channel), void *ctx);

/* Ask all to end; cprof_channels_run() tells of each when it has, with what it had at its end. */
void cprof_channels_ask_end(struct cprof_channels *channels);

/* One was killed that may have left something in the target, and no other of its mode has run since. */
bool cprof_channels_left_something(const struct cprof_channels *channels);

/*
 * Take that away. Stops the target's threads for a moment. `kept` and errors as of the modes' clean().
 */
struct cprof_error *cprof_channels_clean(const struct cprof_channels *channels,
					 struct cprof_buffer *kept);

/* End all, and forget why they ended. Who uses one finds it ended. */
void cprof_channels_end(struct cprof_channels *channels);

#endif
