/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/continuous/followed.h"

#include <poll.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/work.h"

#define LET_GO_NS (1 * CPROF_NS_PER_S) /* for the kernel to let go whom a killed recording held */
#define CLEAN_NS  (8 * CPROF_NS_PER_S)

/* `err` is taken. */
static void tell(const struct cprof_followed *followed, const struct cprof_stream *stream,
		 struct cprof_error *err)
{
	if (err && err->code == CPROF_ERR_NO_TARGET)
		cprof_error_free(err); /* that it has ended is told by others */
	else if (err)
		followed->shared->trouble(followed->shared->ctx, followed->target,
					  stream->mode->name, err);
}

static void set_due(struct cprof_followed *followed)
{
	followed->due_mono_ns =
		cprof_clock_mono_ns() + cprof_beat_wait_ns(&followed->beat, cprof_clock_wall_ns());
}

static void start_all(struct cprof_followed *followed)
{
	for (size_t i = 0; i < followed->n_streams && !followed->gone; i++)
		tell(followed, &followed->streams[i], cprof_stream_start(&followed->streams[i]));
}

void cprof_followed_init(struct cprof_followed *followed, struct cprof_target *target,
			 struct cprof_followed_shared *shared)
{
	*followed = (struct cprof_followed){
		.shared = shared,
		.cleaning = CPROF_WORK_NONE,
		.target = target,
		.subject = { .pid = target->pid,
			     .start_ticks = target->start_ticks,
			     .requests = shared->requests,
			     .naming = shared->naming,
			     .threads = shared->threads,
			     .request_labels = shared->request_labels,
			     .command_line = shared->command_line,
			     .last = true,
			     .window_ns = shared->every_ns },
		.beat = cprof_beat_of(shared->host, target->pid, shared->every_ns),
	};
	followed->channels = (struct cprof_channels){ .subject = &followed->subject,
						      .running = &shared->recordings,
						      .running_max = shared->recordings_max,
						      .ended = shared->ended };
	for (size_t i = 0; i < shared->n_modes && i < CPROF_FOLLOWED_MODES; i++) {
		struct cprof_stream *stream = &followed->streams[followed->n_streams];
		struct cprof_error *err = cprof_stream_init(
			stream, shared->modes[i], &followed->subject, &followed->channels);
		followed->n_streams += !err;
		tell(followed, stream, err);
	}
	start_all(followed);
	set_due(followed);
}

void cprof_followed_deinit(struct cprof_followed *followed)
{
	for (size_t i = 0; i < followed->n_streams; i++) {
		struct cprof_stream *stream = &followed->streams[i];
		followed->shared->works -= stream->stage == CPROF_STREAM_CUTTING;
		cprof_stream_deinit(stream);
	}
	cprof_work_end(&followed->cleaning);
	cprof_channels_end(&followed->channels);
	cprof_target_close(followed->target);
}

void cprof_followed_finish(struct cprof_followed *followed, bool ended)
{
	followed->gone = true;
	followed->due_mono_ns = UINT64_MAX;
	if (ended)
		cprof_target_ended(followed->target);
	cprof_channels_ask_end(&followed->channels);
}

size_t cprof_followed_poll(const struct cprof_followed *followed, struct pollfd *fds, size_t n)
{
	n = cprof_channels_poll(&followed->channels, fds, n);
	for (size_t i = 0; i < followed->n_streams; i++)
		n = cprof_stream_poll(&followed->streams[i], fds, n);
	fds[n++] = (struct pollfd){ .fd = followed->cleaning.reader.fd, .events = POLLIN };
	return n;
}

static void on_ended(void *ctx, const struct cprof_channel *channel)
{
	struct cprof_followed *followed = ctx;
	struct cprof_channel *mine = NULL;
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		if (&followed->channels.all[i] == channel)
			mine = &followed->channels.all[i];
	}
	for (size_t i = 0; mine && i < followed->n_streams; i++) {
		struct cprof_stream *stream = &followed->streams[i];
		if (stream->channel != mine)
			continue;
		cprof_stream_recording_ended(stream, mine);
		if (mine->failure)
			tell(followed, stream, cprof_channel_why(mine));
	}
}

static void run_stream(struct cprof_followed *followed, struct cprof_stream *stream)
{
	struct cprof_followed_shared *shared = followed->shared;
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err;
	struct cprof_cut cut;
	const bool there = cprof_stream_run(stream, &shared->works, &bytes, &err);
	if (there && cprof_cut_read(&bytes, &cut))
		shared->window(shared->ctx, followed->target, stream->mode->name, &cut);
	tell(followed, stream, err);
}

static void end_windows(struct cprof_followed *followed)
{
	for (size_t i = 0; i < followed->n_streams; i++)
		tell(followed, &followed->streams[i],
		     cprof_stream_end_window(&followed->streams[i]));
}

void cprof_followed_run(struct cprof_followed *followed, uint64_t mono_ns)
{
	if (mono_ns >= followed->due_mono_ns) {
		end_windows(followed);
		start_all(followed); /* what failed is tried again */
		set_due(followed);
	}
	cprof_channels_run(&followed->channels, on_ended, followed);
	for (size_t i = 0; i < followed->n_streams; i++)
		run_stream(followed, &followed->streams[i]);
}

void cprof_followed_cut(struct cprof_followed *followed)
{
	struct cprof_followed_shared *shared = followed->shared;
	for (size_t i = 0; i < followed->n_streams; i++)
		tell(followed, &followed->streams[i],
		     cprof_stream_cut(&followed->streams[i], &shared->works, shared->works_max));
}

bool cprof_followed_over(const struct cprof_followed *followed)
{
	for (size_t i = 0; i < followed->n_streams; i++) {
		const struct cprof_stream *stream = &followed->streams[i];
		if (stream->stage != CPROF_STREAM_IDLE || stream->channel)
			return false;
	}
	return true;
}

/* ---- what is left ---- */

/* Where the killed one held threads when it died, the kernel lets them go a moment after we hear of its end. */
static struct cprof_error *clean_soon(const struct cprof_channels *channels,
				      struct cprof_buffer *kept)
{
	static const struct timespec moment = { .tv_nsec = 10000000 };
	const uint64_t until_ns = cprof_clock_mono_ns() + LET_GO_NS;
	struct cprof_error *err;
	while ((err = cprof_channels_clean(channels, kept)) && err->code == CPROF_ERR_DENIED &&
	       cprof_clock_mono_ns() < until_ns) {
		cprof_error_free(err);
		nanosleep(&moment, NULL);
	}
	return err;
}

/* A process of its own: no signal that is meant for us ends it half way. */
static struct cprof_error *clean(void *ctx, int stop_fd, int ask_fd, struct cprof_buffer *ret_bytes)
{
	const struct cprof_channels *channels = ctx;
	CPROF_AUTO(buffer) struct cprof_buffer kept = { 0 };
	(void)stop_fd, (void)ask_fd, (void)ret_bytes;
	struct cprof_error *err = clean_soon(channels, &kept);
	return err || !kept.len ? err
				: cprof_error_new(CPROF_ERR_OS, "%s", cprof_buffer_text(&kept));
}

/* None where nothing is. `why` is taken. */
static struct cprof_error *still_there(struct cprof_followed *followed, struct cprof_error *why)
{
	const pid_t pid = followed->target->pid;
	if (!why || !cprof_target_alive(followed->target)) {
		cprof_error_free(why);
		return NULL;
	}
	struct cprof_error *err = cprof_error_new(
		why->code, "what the recording left in process %d is there still: %s", (int)pid,
		why->message);
	cprof_error_free(why);
	return cprof_error_hint(err, "remove it with cprof-attach -repair %d", (int)pid);
}

/* True: it has begun, and is under way. */
static bool begin_cleaning(struct cprof_followed *followed, struct cprof_error **ret_err)
{
	if (!cprof_channels_left_something(&followed->channels) ||
	    !cprof_target_alive(followed->target))
		return false;
	followed->clean_until_ns = cprof_clock_mono_ns() + CLEAN_NS;
	*ret_err = cprof_work_start("cprof-clean", clean, &followed->channels, -1,
				    &followed->cleaning);
	return !*ret_err;
}

bool cprof_followed_cleaned(struct cprof_followed *followed, struct cprof_error **ret_err)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *why = NULL;
	*ret_err = NULL;
	if (!followed->clean_until_ns) {
		if (begin_cleaning(followed, &why))
			return false;
	} else if (cprof_work_reader_take(&followed->cleaning.reader)) {
		why = cprof_work_reader_finish(&followed->cleaning.reader, &bytes);
	} else if (cprof_clock_mono_ns() < followed->clean_until_ns) {
		return false;
	} else {
		why = cprof_error_new(CPROF_ERR_OS, "the process that removes it is not done yet");
	}
	cprof_work_end(&followed->cleaning);
	*ret_err = still_there(followed, why);
	return true;
}

struct cprof_error *cprof_followed_clean(struct cprof_followed *followed)
{
	struct cprof_error *err;
	while (!cprof_followed_cleaned(followed, &err)) {
		const uint64_t now_ns = cprof_clock_mono_ns();
		struct pollfd pollfd = { .fd = followed->cleaning.reader.fd, .events = POLLIN };
		if (now_ns < followed->clean_until_ns)
			(void)poll(&pollfd, 1,
				   (int)((followed->clean_until_ns - now_ns) / 1000000) + 1);
	}
	return err;
}
