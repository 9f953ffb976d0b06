/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/continuous/stream.h"

#include <string.h>

#include "attach/serve/endpoint.h"
#include "attach/serve/look.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define LATE_NS (CPROF_NS_PER_S * 15 / 100)

static bool is_moment(const struct cprof_stream *stream)
{
	return cprof_endpoints[stream->form.endpoint].kind == CPROF_ENDPOINT_MOMENT;
}

/* What it is given is a window by itself, and no part of which the difference is one. */
static bool is_whole(const struct cprof_stream *stream)
{
	return is_moment(stream) || stream->mode->windows;
}

struct cprof_error *cprof_stream_init(struct cprof_stream *stream, const struct cprof_mode *mode,
				      const struct cprof_subject *subject,
				      struct cprof_channels *channels)
{
	*stream = (struct cprof_stream){ .mode = mode,
					 .channels = channels,
					 .subject = subject,
					 .form = { .shape = CPROF_SHAPE_PART },
					 .reader = { .fd = -1 },
					 .work = CPROF_WORK_NONE };
	if (!cprof_profile_form_of_mode(mode->name, &stream->form) ||
	    (cprof_endpoints[stream->form.endpoint].kind == CPROF_ENDPOINT_SPELL && !mode->windows))
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE, "mode %s cannot go on for ever",
					mode->name),
			"its profiles are of one window each: give -seconds, and -push where it is to go");
	if (is_whole(stream))
		stream->form.shape = CPROF_SHAPE_PPROF;
	return NULL;
}

void cprof_stream_deinit(struct cprof_stream *stream)
{
	cprof_buffer_deinit(&stream->first);
	cprof_buffer_deinit(&stream->last);
	cprof_buffer_deinit(&stream->after);
	cprof_work_reader_deinit(&stream->reader);
	cprof_work_end(&stream->work);
}

struct cprof_error *cprof_stream_start(struct cprof_stream *stream)
{
	if (is_moment(stream) || stream->channel || stream->stage != CPROF_STREAM_IDLE)
		return NULL;
	const struct cprof_channel_want want = { .mode = stream->mode, .stays = true };
	struct cprof_error *err = cprof_channels_use(stream->channels, &want, &stream->channel);
	if (err)
		return err;
	cprof_channel_leave(stream->channels, stream->channel); /* it goes on */
	cprof_buffer_deinit(&stream->first);                    /* it counts from nothing */
	stream->until_ns = 0;
	return NULL;
}

/* ---- the end of a window ---- */

static struct cprof_error *look(struct cprof_stream *stream)
{
	struct cprof_look_threads how = { .subject = stream->subject, .form = stream->form };
	struct cprof_error *err = cprof_look_threads_start(&how, &stream->work);
	if (!err)
		stream->stage = CPROF_STREAM_LOOKING;
	return err;
}

struct cprof_error *cprof_stream_end_window(struct cprof_stream *stream)
{
	if (stream->stage != CPROF_STREAM_IDLE)
		return NULL;
	if (is_moment(stream))
		return look(stream);
	if (!stream->channel || !stream->channel->running)
		return NULL;
	/* What happened until then has been handed over by now. */
	stream->form.from_ns = stream->until_ns;
	stream->form.until_ns = cprof_clock_mono_ns() - LATE_NS;
	struct cprof_error *err = cprof_recording_ask(&stream->channel->recording, stream->subject,
						      false, &stream->form, &stream->reader);
	if (!err)
		stream->stage = CPROF_STREAM_ASKING;
	return err;
}

static void move(struct cprof_buffer *to, struct cprof_buffer *from)
{
	cprof_buffer_deinit(to);
	*to = *from;
	*from = (struct cprof_buffer){ 0 };
}

/* A part is there: the window up to it can be cut. */
static void hold(struct cprof_stream *stream)
{
	if (!stream->last.len)
		move(&stream->last, &stream->after);
	stream->stage = stream->last.len ? CPROF_STREAM_HOLDING : CPROF_STREAM_IDLE;
}

void cprof_stream_recording_ended(struct cprof_stream *stream, struct cprof_channel *channel)
{
	if (stream->channel != channel)
		return;
	stream->channel = NULL;
	const bool has_window = stream->mode->windows && (stream->stage == CPROF_STREAM_HOLDING ||
							  stream->stage == CPROF_STREAM_ASKING);
	if (stream->stage == CPROF_STREAM_CUTTING || has_window) {
		move(&stream->after, &channel->last);
		return;
	}
	if (stream->stage == CPROF_STREAM_ASKING)
		cprof_work_reader_deinit(&stream->reader);
	if (channel->last.len)
		move(&stream->last, &channel->last);
	hold(stream);
}

/* ---- going on ---- */

size_t cprof_stream_poll(const struct cprof_stream *stream, struct pollfd *fds, size_t n)
{
	const bool works =
		stream->stage == CPROF_STREAM_LOOKING || stream->stage == CPROF_STREAM_CUTTING;
	const int fd = works                                  ? stream->work.reader.fd
		       : stream->stage == CPROF_STREAM_ASKING ? stream->reader.fd
							      : -1;
	if (fd >= 0)
		fds[n++] = (struct pollfd){ .fd = fd, .events = POLLIN };
	return n;
}

static struct cprof_error *take_part(struct cprof_stream *stream)
{
	cprof_buffer_deinit(&stream->last);
	struct cprof_error *err = cprof_work_reader_finish(&stream->reader, &stream->last);
	cprof_work_reader_deinit(&stream->reader);
	if (!err && stream->mode->windows) /* the recording holds it for handed out */
		stream->until_ns = stream->form.until_ns;
	hold(stream);
	return err;
}

static struct cprof_error *take_look(struct cprof_stream *stream)
{
	cprof_buffer_deinit(&stream->last);
	struct cprof_error *err = cprof_work_reader_finish(&stream->work.reader, &stream->last);
	cprof_work_end(&stream->work);
	hold(stream);
	return err;
}

/* In a process of its own. */
static struct cprof_error *cut(void *ctx, int stop_fd, int ask_fd, struct cprof_buffer *ret_bytes)
{
	const struct cprof_stream *stream = ctx;
	(void)stop_fd;
	(void)ask_fd;
	return is_whole(stream)
		       ? cprof_cut_whole(&stream->last, ret_bytes)
		       : cprof_cut_make(&stream->form, stream->first.len ? &stream->first : NULL,
					&stream->last, ret_bytes);
}

struct cprof_error *cprof_stream_cut(struct cprof_stream *stream, unsigned *works,
				     unsigned works_max)
{
	if (stream->stage != CPROF_STREAM_HOLDING || *works >= works_max)
		return NULL;
	struct cprof_error *err = cprof_work_start("cprof-window", cut, stream, -1, &stream->work);
	if (err)
		return err; /* it is held still */
	++*works;
	stream->stage = CPROF_STREAM_CUTTING;
	return NULL;
}

/* The next window begins where this one ended; where it could not be cut, it begins where this one began. */
static struct cprof_error *take_cut(struct cprof_stream *stream, unsigned *works,
				    struct cprof_buffer *bytes)
{
	struct cprof_error *err = cprof_work_reader_finish(&stream->work.reader, bytes);
	cprof_work_end(&stream->work);
	--*works;
	if (!err && !is_whole(stream))
		move(&stream->first, &stream->last);
	move(&stream->last, &stream->after);
	hold(stream);
	return err;
}

bool cprof_stream_run(struct cprof_stream *stream, unsigned *works, struct cprof_buffer *bytes,
		      struct cprof_error **ret_err)
{
	*ret_err = NULL;
	switch (stream->stage) {
	case CPROF_STREAM_IDLE:
	case CPROF_STREAM_HOLDING:
		break;
	case CPROF_STREAM_ASKING:
		if (cprof_work_reader_take(&stream->reader))
			*ret_err = take_part(stream);
		break;
	case CPROF_STREAM_LOOKING:
		if (cprof_work_reader_take(&stream->work.reader))
			*ret_err = take_look(stream);
		break;
	case CPROF_STREAM_CUTTING:
		if (!cprof_work_reader_take(&stream->work.reader))
			return false;
		*ret_err = take_cut(stream, works, bytes);
		return !*ret_err;
	}
	return false;
}
