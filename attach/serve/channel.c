/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/channel.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define RETRY_NS (10 * CPROF_NS_PER_S) /* what failed is not tried more often */
#define AGE_NS                                                                                     \
	(600 * CPROF_NS_PER_S) /* then who comes new gets a new one, whose stacks are fewer */

static bool same(const struct cprof_channel *channel, const struct cprof_mode *mode, double rate_hz,
		 const char *event)
{
	return channel->mode == mode && channel->rate_hz == rate_hz &&
	       strcmp(channel->event, event) == 0;
}

static void clear(struct cprof_channel *channel)
{
	cprof_error_free(channel->failure);
	*channel = (struct cprof_channel){ 0 };
}

static struct cprof_error *copy_error(const struct cprof_error *err)
{
	struct cprof_error *copy = cprof_error_new(err->code, "%s", err->message);
	return err->hint ? cprof_error_hint(copy, "%s", err->hint) : copy;
}

struct cprof_error *cprof_channel_why(const struct cprof_channel *channel)
{
	return channel->failure ? copy_error(channel->failure)
				: cprof_error_new(CPROF_ERR_OS, "the recording has ended");
}

/* The requests are copied into the recording's process when that is made. */
static struct cprof_error *start(const struct cprof_channels *channels,
				 struct cprof_channel *channel)
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
	if (channel->rate_hz > 0)
		requests.cpu.rate_hz = channel->rate_hz;
	if (*channel->event)
		requests.cpu.event = channel->event;
	struct cprof_error *err =
		cprof_recording_start(&subject, channel->mode, &channel->recording);
	channel->running = !err;
	*channels->running += !err;
	return err;
}

static void stop(const struct cprof_channels *channels, struct cprof_channel *channel)
{
	cprof_recording_end(&channel->recording);
	channel->running = false;
	--*channels->running;
}

/* One that runs and is not old; or the place of one that has ended, or that was never used. */
static struct cprof_channel *choose(struct cprof_channels *channels, const struct cprof_mode *mode,
				    double rate_hz, const char *event)
{
	const uint64_t now = cprof_clock_mono_ns();
	struct cprof_channel *place = NULL;
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		if (same(channel, mode, rate_hz, event) && channel->running &&
		    (channel->stays || now - channel->recording.started_mono_ns < AGE_NS))
			return channel;
		if (channel->running || channel->users)
			continue;
		/* One that ended knows why, and is better than one that was never used. */
		if (same(channel, mode, rate_hz, event) || (!place && !channel->stays))
			place = channel;
	}
	return place;
}

struct cprof_error *cprof_channels_use(struct cprof_channels *channels,
				       const struct cprof_mode *mode, bool stays, double rate_hz,
				       const char *event, struct cprof_channel **ret_channel)
{
	struct cprof_channel *channel = choose(channels, mode, rate_hz, event);
	if (!channel)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "%d different recordings of the process run already",
				       CPROF_CHANNELS_MAX);
	if (!channel->running && same(channel, mode, rate_hz, event) && channel->failure &&
	    cprof_clock_mono_ns() - channel->failed_mono_ns < RETRY_NS)
		return copy_error(channel->failure);
	if (!channel->running) {
		clear(channel);
		channel->mode = mode;
		channel->stays = stays;
		channel->rate_hz = rate_hz;
		snprintf(channel->event, sizeof(channel->event), "%s", event);
		struct cprof_error *err = start(channels, channel);
		if (err)
			return err;
	}
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
	CPROF_AUTO(buffer) struct cprof_buffer nothing = { 0 };
	channel->failure = cprof_work_reader_finish(&channel->recording.work.reader, &nothing);
	channel->failed_mono_ns = cprof_clock_mono_ns();
	stop(channels, channel);
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

void cprof_channels_end(struct cprof_channels *channels)
{
	for (size_t i = 0; i < CPROF_CHANNELS_MAX; i++) {
		struct cprof_channel *channel = &channels->all[i];
		if (channel->running)
			stop(channels, channel);
		if (!channel->users)
			clear(channel);
	}
}
