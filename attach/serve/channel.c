/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/channel.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define RETRY_NS     (10 * CPROF_NS_PER_S) /* what failed is not tried more often */
#define REVIVE_NS    CPROF_NS_PER_S        /* what broke is begun again after, */
#define REVIVALS_MAX 9 /* and then after twice as long each time, 9 minutes at most */
#define SOUND_NS     (REVIVE_NS << REVIVALS_MAX) /* what has gone on for so long is revived at once */
#define STEP_NS      (CPROF_NS_PER_S / 100)
#define AGE_NS                                                                                     \
	(600 * CPROF_NS_PER_S) /* then who comes new gets a new one, whose stacks are fewer */

static bool same(const struct cprof_channel *channel, const struct cprof_channel_want *want)
{
	return channel->mode == want->mode && channel->rate == want->rate &&
	       strcmp(channel->event, want->event ? want->event : "") == 0 &&
	       channel->window_ns >= want->window_ns;
}

static void clear(struct cprof_channel *channel)
{
	cprof_error_free(channel->failure);
	cprof_buffer_deinit(&channel->before.carry);
	cprof_buffer_deinit(&channel->told);
	cprof_buffer_deinit(&channel->last);
	*channel = (struct cprof_channel){ 0 };
}

struct cprof_error *cprof_channel_why(const struct cprof_channel *channel)
{
	return channel->failure ? cprof_error_copy(channel->failure)
				: cprof_error_new(CPROF_ERR_OS, "the recording has ended");
}

/* Whether a recording of its mode may have left something in the target that is there still. From now on the channel knows of it alone. */
static bool take_left(struct cprof_channels *channels, const struct cprof_mode *mode)
{
	bool left = false;
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		if (channel->mode != mode)
			continue;
		left = left || channel->before.broke;
		channel->before.broke = false;
	}
	return left;
}

/* What `rate` is the rate of depends on the mode. */
static void set_rate(struct cprof_mode_requests *requests, const char *mode, double rate)
{
	if (rate <= 0)
		return;
	if (strcmp(mode, "cpu") == 0)
		requests->cpu.rate_hz = rate;
	else if (strcmp(mode, "wall") == 0)
		requests->wall.rate_hz = rate;
	else
		requests->waits.rate_ns = (uint64_t)rate;
}

/* The requests are copied into the recording's process when that is made. */
static struct cprof_error *start(struct cprof_channels *channels, struct cprof_channel *channel)
{
	struct cprof_subject subject = *channels->subject;
	struct cprof_mode_requests requests = *subject.requests;
	if (*channels->running >= channels->running_max)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_NO_MEMORY,
					"%u recordings run already, which is as many as may",
					channels->running_max),
			"serve fewer processes or modes, or record when asked only (-lazy)");
	subject.requests = &requests;
	set_rate(&requests, channel->mode->name, channel->rate);
	if (channel->window_ns) {
		subject.window_ns = channel->window_ns;
		subject.step_ns = STEP_NS;
	}
	if (*channel->event)
		requests.cpu.event = channel->event;
	channel->before.broke = take_left(channels, channel->mode);
	struct cprof_error *err = cprof_recording_start(&subject, channel->mode, &channel->before,
							&channel->recording);
	cprof_error_free(channel->failure);
	channel->failure = NULL;
	channel->broke = channel->broke && err;
	channel->running = !err;
	*channels->running += !err;
	return err;
}

static void stop(const struct cprof_channels *channels, struct cprof_channel *channel)
{
	if (channel->recording.counts)
		cprof_counts_add(&channels->ended[channel->mode - cprof_modes],
				 channel->recording.counts);
	cprof_recording_end(&channel->recording);
	channel->running = false;
	--*channels->running;
}

/*
 * How good a place is for a new recording; 0: it is none. One of the same that ended knows why, and may be refused for that; what another
 * one knows is kept as long as there is a place that was never used.
 */
static unsigned worth(const struct cprof_channel *channel, bool is_same)
{
	if (channel->running || channel->users)
		return 0;
	if (is_same)
		return 3;
	if (!channel->mode)
		return 2;
	return !channel->stays;
}

/* One that runs and is not old; or the place of one that has ended, or that was never used. */
static struct cprof_channel *choose(struct cprof_channels *channels,
				    const struct cprof_channel_want *want)
{
	const uint64_t now = cprof_clock_mono_ns();
	struct cprof_channel *place = NULL;
	unsigned best = 0;
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		const bool is_same = same(channel, want);
		if (is_same && channel->running &&
		    (channel->stays || now - channel->recording.started_mono_ns < AGE_NS))
			return channel;
		if (worth(channel, is_same) <= best)
			continue;
		best = worth(channel, is_same);
		place = channel;
	}
	return place;
}

struct cprof_error *cprof_channels_use(struct cprof_channels *channels,
				       const struct cprof_channel_want *want,
				       struct cprof_channel **ret_channel)
{
	struct cprof_channel *channel = choose(channels, want);
	if (!channel)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "%d different recordings of the process run already",
				       CPROF_CHANNELS_MAX);
	if (!channel->running && same(channel, want) && channel->failure &&
	    cprof_clock_mono_ns() - channel->failed_mono_ns < RETRY_NS)
		return cprof_error_copy(channel->failure);
	if (!channel->running && !same(channel, want)) {
		clear(channel);
		channel->mode = want->mode;
		channel->stays = want->stays;
		channel->rate = want->rate;
		channel->window_ns = want->window_ns;
		snprintf(channel->event, sizeof(channel->event), "%s",
			 want->event ? want->event : "");
	}
	struct cprof_error *err = channel->running ? NULL : start(channels, channel);
	if (err)
		return err;
	channel->users++;
	*ret_channel = channel;
	return NULL;
}

void cprof_channel_leave(struct cprof_channels *channels, struct cprof_channel *channel)
{
	channel->users--;
	if (channel->users || channel->stays || !channel->running)
		return;
	stop(channels, channel);
	clear(channel);
}

void cprof_channel_carry(struct cprof_channel *channel, const struct cprof_buffer *bytes)
{
	if (!channel->stays)
		return;
	channel->before.carry.len = 0;
	cprof_buffer_append(&channel->before.carry, bytes->data, bytes->len);
	if (channel->before.carry.failed) /* better to begin from nothing than from half of it */
		cprof_buffer_deinit(&channel->before.carry);
}

const struct cprof_channel *cprof_channels_find(const struct cprof_channels *channels,
						const char *mode)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		const struct cprof_channel *channel = &channels->all[i];
		if (channel->mode && channel->stays && strcmp(channel->mode->name, mode) == 0)
			return channel;
	}
	return NULL;
}

size_t cprof_channels_poll(const struct cprof_channels *channels, struct pollfd *fds, size_t n)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		const struct cprof_channel *channel = &channels->all[i];
		if (channel->running)
			fds[n++] = (struct pollfd){ .fd = channel->recording.work.reader.fd,
						    .events = POLLIN };
	}
	return n;
}

static void end_one(const struct cprof_channels *channels, struct cprof_channel *channel)
{
	channel->failure =
		cprof_work_reader_finish(&channel->recording.work.reader, &channel->last);
	channel->failed_mono_ns = cprof_clock_mono_ns();
	/* Its process has broken or was killed: no error that the next one would have, too. */
	channel->broke = channel->failure && channel->failure->code == CPROF_ERR_OS;
	channel->before.broke = channel->failure && (channel->broke || channel->before.broke);
	if (channel->failed_mono_ns - channel->recording.started_mono_ns >= SOUND_NS)
		channel->revivals = 0;
	stop(channels, channel);
}

static bool is_to_revive(const struct cprof_channel *channel)
{
	return channel->stays && !channel->running && channel->broke;
}

static uint64_t revive_mono_ns(const struct cprof_channel *channel)
{
	return channel->failed_mono_ns + (REVIVE_NS << channel->revivals);
}

void cprof_channels_revive(struct cprof_channels *channels, uint64_t mono_ns)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		if (!is_to_revive(channel) || mono_ns < revive_mono_ns(channel))
			continue;
		channel->failed_mono_ns = mono_ns;
		channel->revivals += channel->revivals < REVIVALS_MAX;
		struct cprof_error *err = start(channels, channel);
		if (err) {
			cprof_error_free(channel->failure);
			channel->failure = err;
		}
	}
}

uint64_t cprof_channels_due_mono_ns(const struct cprof_channels *channels)
{
	uint64_t due = UINT64_MAX;
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		const struct cprof_channel *channel = &channels->all[i];
		if (is_to_revive(channel) && revive_mono_ns(channel) < due)
			due = revive_mono_ns(channel);
	}
	return due;
}

void cprof_channels_run(struct cprof_channels *channels,
			void (*ended)(void *ctx, const struct cprof_channel *channel), void *ctx)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		if (!channel->running || !cprof_work_reader_take(&channel->recording.work.reader))
			continue;
		end_one(channels, channel);
		ended(ctx, channel);
	}
}

void cprof_channels_ask_end(struct cprof_channels *channels)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		if (channels->all[i].running)
			cprof_work_ask_end(&channels->all[i].recording.work);
	}
}

static bool left_something(const struct cprof_channel *channel)
{
	return !channel->running && channel->before.broke && channel->mode->clean;
}

bool cprof_channels_left_something(const struct cprof_channels *channels)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		if (left_something(&channels->all[i]))
			return true;
	}
	return false;
}

struct cprof_error *cprof_channels_clean(const struct cprof_channels *channels,
					 struct cprof_buffer *kept)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < CPROF_CHANNELS_MAX && !err; i++) {
		if (left_something(&channels->all[i]))
			err = channels->all[i].mode->clean(channels->subject->pid, kept);
	}
	return err;
}

void cprof_channels_end(struct cprof_channels *channels)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		if (channel->running)
			stop(channels, channel);
		/* The next process begins to count anew. */
		cprof_buffer_deinit(&channel->before.carry);
		cprof_buffer_deinit(&channel->told);
		if (!channel->users)
			clear(channel);
	}
}
