/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/continuous/followed.h - one process that is profiled for ever: its modes, their windows, and when these end.
 */
#ifndef CPROF_ATTACH_CONTINUOUS_FOLLOWED_H
#define CPROF_ATTACH_CONTINUOUS_FOLLOWED_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/continuous/beat.h"
#include "attach/continuous/stream.h"
#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "base/work.h"
#include "cprof/error.h"

#define CPROF_FOLLOWED_MODES 8
#define CPROF_FOLLOWED_KINDS 16 /* modes that there may be */

/* What all have together; outlives them. */
struct cprof_followed_shared {
	const struct cprof_mode *const *modes;
	size_t n_modes;
	const struct cprof_mode_requests *requests;
	struct cprof_run_naming naming;
	struct cprof_thread_choice *threads; /* borrowed; as in run.h */
	struct cprof_run_request_labels request_labels;
	const char *command_line;
	const char *host;
	uint64_t every_ns;
	unsigned recordings, recordings_max; /* all recordings that run; as many as may */
	struct cprof_counts ended
		[CPROF_FOLLOWED_KINDS]; /* what those had counted that have ended, in the order of cprof_modes */
	unsigned works, works_max; /* windows that are cut; as many as may be at once */
	/* A window of a mode; `cut` is taken. */
	void (*window)(void *ctx, const struct cprof_target *target, const char *mode,
		       const struct cprof_cut *cut);
	/* Why there is none; `err` is taken. */
	void (*trouble)(void *ctx, const struct cprof_target *target, const char *mode,
			struct cprof_error *err);
	void *ctx;
};

struct cprof_followed {
	struct cprof_followed_shared *shared;
	struct cprof_target *target; /* owned */
	struct cprof_subject subject;
	struct cprof_channels channels;
	struct cprof_stream streams[CPROF_FOLLOWED_MODES];
	size_t n_streams;
	struct cprof_beat beat;
	uint64_t due_mono_ns; /* when the windows end; UINT64_MAX: they never do any more */
	bool gone; /* it has ended or is not meant any more: its last windows are all that is left */
	struct cprof_work cleaning;
	uint64_t clean_until_ns; /* mono; 0: that has not begun */
};

/* Takes the target, and begins to record. It must stay where it is. */
void cprof_followed_init(struct cprof_followed *followed, struct cprof_target *target,
			 struct cprof_followed_shared *shared);
void cprof_followed_deinit(struct cprof_followed *followed);

/*
 * It has ended, is not meant any more, or we end: its recordings are asked to end, and what they have then is its last windows. Run it until
 * it is over.
 */
void cprof_followed_finish(struct cprof_followed *followed, bool ended);

/* What to poll for, appended at n. */
#define CPROF_FOLLOWED_FDS (CPROF_CHANNELS_MAX + CPROF_FOLLOWED_MODES + 1)
size_t cprof_followed_poll(const struct cprof_followed *followed, struct pollfd *fds, size_t n);

/* Go on; hands windows over. Then, when all have gone on, have what is there cut. */
void cprof_followed_run(struct cprof_followed *followed, uint64_t mono_ns);
void cprof_followed_cut(struct cprof_followed *followed);

/* Nothing is under way any more: no recording, no window. */
bool cprof_followed_over(const struct cprof_followed *followed);

/*
 * Once it is over: take away what a recording that was killed has left in the target, which the next one would have done. Stops its
 * threads for a moment if there is something, from a process of its own, which has 8 s. The first never waits: false as long as that process
 * is at work, which is polled for. An error says what is left and how to remove it; none of a process that has ended.
 */
bool cprof_followed_cleaned(struct cprof_followed *followed, struct cprof_error **ret_err);
struct cprof_error *cprof_followed_clean(struct cprof_followed *followed);

#endif
