/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/visit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/serve/look.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define ORPHAN_NS (2 * CPROF_NS_PER_S)
#define ROOM_NS   (60 * CPROF_NS_PER_S)

enum stage {
	BEGIN,
	FIRST, /* the recording works on what there was at the beginning; or on all that is wanted */
	BETWEEN, /* the seconds asked for */
	LAST,    /* the recording works on what there is at the end */
	QUEUED,  /* others are at work */
	WORKING,
	ORPHAN, /* the recording has given no answer: it ends and says why, or it does not */
	OVER,
};

struct cprof_visit {
	struct cprof_visit_house *house;
	struct cprof_http_request *request;
	struct cprof_ask ask;
	enum stage stage;
	uint64_t due_mono_ns;
	struct cprof_channel *channel; /* in use; or NULL */
	bool streams;                  /* it is one of the house's streams */
	bool alone;                    /* a stream has been tried in vain */
	struct cprof_work_reader reader;
	struct cprof_work work;
	bool works; /* one of the house's works is ours */
	struct cprof_buffer first, last;
};

struct cprof_visit *cprof_visit_new(struct cprof_visit_house *house,
				    struct cprof_http_request *request, struct cprof_ask *ask)
{
	struct cprof_visit *visit = calloc(1, sizeof(*visit));
	if (!visit)
		return NULL;
	*visit = (struct cprof_visit){ .house = house,
				       .request = request,
				       .ask = *ask,
				       .due_mono_ns = UINT64_MAX,
				       .reader = { .fd = -1 },
				       .work = CPROF_WORK_NONE };
	*ask = (struct cprof_ask){ 0 };
	house->visits++;
	return visit;
}

static void leave_channel(struct cprof_visit *visit)
{
	struct cprof_visit_house *house = visit->house;
	if (visit->channel && visit->channel->running)
		cprof_recording_leave(&visit->channel->recording, house->subject);
	if (visit->channel)
		cprof_channel_leave(visit->streams ? house->streams : house->channels,
				    visit->channel);
	visit->channel = NULL;
}

static bool is_spell(const struct cprof_visit *visit)
{
	return visit->ask.endpoint->kind == CPROF_ENDPOINT_SPELL;
}

static bool may_work(const struct cprof_visit *visit)
{
	return *visit->house->works < CPROF_VISIT_WORKS_MAX;
}

static void end_work(struct cprof_visit *visit)
{
	cprof_work_end(&visit->work);
	*visit->house->works -= visit->works;
	visit->works = false;
}

void cprof_visit_free(struct cprof_visit *visit)
{
	leave_channel(visit);
	end_work(visit);
	cprof_work_reader_deinit(&visit->reader);
	cprof_buffer_deinit(&visit->first);
	cprof_buffer_deinit(&visit->last);
	cprof_ask_deinit(&visit->ask);
	visit->house->visits--;
	free(visit);
}

int cprof_visit_fd(const struct cprof_visit *visit)
{
	return visit->stage == WORKING ? visit->work.reader.fd : visit->reader.fd;
}

uint64_t cprof_visit_due_mono_ns(const struct cprof_visit *visit)
{
	const bool my_turn = visit->stage == QUEUED && may_work(visit);
	return my_turn || visit->stage == BEGIN ? 0 : visit->due_mono_ns;
}

/* ---- answers ---- */

static unsigned status_of(enum cprof_error_code code)
{
	switch (code) {
	case CPROF_ERR_NO_TARGET:
		return 404;
	case CPROF_ERR_USAGE:
		return 400;
	case CPROF_ERR_DENIED:
		return 403;
	case CPROF_ERR_UNSUPPORTED:
		return 501;
	case CPROF_ERR_NO_MEMORY:
		return 503;
	default:
		return 500;
	}
}

void cprof_visit_answer_error(struct cprof_http_request *request, struct cprof_error *err)
{
	struct cprof_http_answer answer = { .status = status_of(err->code),
					    .content_type = "text/plain; charset=utf-8",
					    .go_pprof = true };
	cprof_buffer_printf(&answer.body, "%s\n", err->message);
	if (err->hint)
		cprof_buffer_printf(&answer.body, "hint: %s\n", err->hint);
	cprof_error_free(err);
	cprof_http_server_answer(request, &answer);
}

/* However that was noticed. */
static struct cprof_error *has_ended(const struct cprof_target *target)
{
	return cprof_error_new(CPROF_ERR_NO_TARGET, "process %d (%s) has ended", (int)target->pid,
			       target->comm);
}

static void fail(struct cprof_visit *visit, struct cprof_error *err)
{
	if (err->code == CPROF_ERR_NO_TARGET) {
		cprof_error_free(err);
		err = has_ended(visit->house->target);
	}
	visit->stage = OVER;
	cprof_visit_answer_error(visit->request, err);
}

/* Takes `bytes`. */
static void succeed(struct cprof_visit *visit, struct cprof_buffer *bytes)
{
	const struct cprof_ask *ask = &visit->ask;
	const bool binary = ask->endpoint->kind != CPROF_ENDPOINT_SYMBOL &&
			    ask->form.shape == CPROF_SHAPE_PPROF;
	const bool delta =
		ask->length_ns && ask->endpoint->kind != CPROF_ENDPOINT_WINDOW && !is_spell(visit);
	char disposition[96];
	snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s%s\"",
		 ask->endpoint->file ? ask->endpoint->file : ask->endpoint->name,
		 delta ? "-delta" : "");
	struct cprof_http_answer answer = {
		.status = 200,
		.content_type = binary ? "application/octet-stream" : "text/plain; charset=utf-8",
		.disposition = binary ? disposition : NULL,
		.body = *bytes,
	};
	*bytes = (struct cprof_buffer){ 0 };
	visit->stage = OVER;
	cprof_http_server_answer(visit->request, &answer);
}

/* ---- recordings ---- */

static void wait_as_orphan(struct cprof_visit *visit)
{
	visit->stage = ORPHAN;
	visit->due_mono_ns = cprof_clock_mono_ns() + ORPHAN_NS;
}

static struct cprof_error *ask_for_part(struct cprof_visit *visit, enum stage stage)
{
	struct cprof_profile_form form = visit->ask.form;
	if (is_spell(visit))
		form.shape = stage == FIRST ? CPROF_SHAPE_NOW : CPROF_SHAPE_PPROF;
	else if (visit->ask.length_ns || visit->ask.endpoint->kind == CPROF_ENDPOINT_DELTA)
		form.shape = CPROF_SHAPE_PART;
	visit->stage = stage;
	visit->due_mono_ns = UINT64_MAX;
	struct cprof_error *err =
		cprof_recording_ask(&visit->channel->recording, visit->house->subject,
				    stage == FIRST, &form, &visit->reader);
	if (!err || err->code != CPROF_ERR_OS)
		return err;
	/* It has just ended: that is noticed in a moment, with the reason. */
	cprof_error_free(err);
	wait_as_orphan(visit);
	return NULL;
}

/* Whether one stream of all processes has what is asked for. */
static bool is_in_stream(const struct cprof_visit *visit, const struct cprof_mode *mode)
{
	const struct cprof_visit_house *house = visit->house;
	const struct cprof_ask *ask = &visit->ask;
	struct cprof_mode_requests requests = *house->subject->requests;
	if (*ask->event)
		requests.cpu.event = ask->event;
	return ask->endpoint->kind == CPROF_ENDPOINT_WINDOW && !visit->alone &&
	       house->streams->offered && mode->run_shared && mode->can_share(&requests);
}

/* A recording that can tell of so much, and of what others are likely to ask for meanwhile: there are few different ones. */
static uint64_t room_for(uint64_t length_ns)
{
	uint64_t room_ns = ROOM_NS;
	while (room_ns < length_ns)
		room_ns *= 4;
	return room_ns;
}

static struct cprof_error *use_channel(struct cprof_visit *visit)
{
	const struct cprof_ask *ask = &visit->ask;
	const bool passes =
		ask->endpoint->kind == CPROF_ENDPOINT_WINDOW || is_spell(visit) || ask->rate > 0;
	struct cprof_channel_want want = {
		.stays = !passes,
		.rate = ask->rate,
		.event = ask->event,
		.window_ns = is_spell(visit) ? room_for(ask->length_ns) : 0,
	};
	struct cprof_error *err = cprof_mode_find(ask->endpoint->mode, &want.mode);
	if (err)
		return err;
	visit->streams = is_in_stream(visit, want.mode);
	err = cprof_channels_use(visit->streams ? visit->house->streams : visit->house->channels,
				 &want, &visit->channel);
	if (err && visit->streams) {
		cprof_error_free(err);
		visit->alone = true;
		return use_channel(visit);
	}
	return err ? err : ask_for_part(visit, FIRST);
}

/* There is no stream, as it turns out. */
static struct cprof_error *go_alone(struct cprof_visit *visit)
{
	leave_channel(visit);
	cprof_work_reader_deinit(&visit->reader);
	visit->reader = (struct cprof_work_reader){ .fd = -1 };
	visit->alone = true;
	return use_channel(visit);
}

/* Where the next delta begins is where this one ends, whoever asks. */
static struct cprof_error *begin_next_delta(struct cprof_visit *visit)
{
	struct cprof_buffer *told = &visit->channel->told;
	visit->last = visit->first;
	visit->first = *told;
	*told = (struct cprof_buffer){ 0 };
	cprof_buffer_append(told, visit->last.data, visit->last.len);
	leave_channel(visit);
	visit->stage = QUEUED;
	return told->failed ? cprof_error_no_memory() : NULL;
}

/* The recording runs, as of this moment: the seconds begin. */
static struct cprof_error *begin_spell(struct cprof_visit *visit)
{
	struct cprof_profile_form *form = &visit->ask.form;
	if (visit->first.len != sizeof(form->from_ns))
		return cprof_error_new(CPROF_ERR_BAD_DATA, "the recording told no time");
	memcpy(&form->from_ns, visit->first.data, sizeof(form->from_ns));
	form->until_ns = form->from_ns + visit->ask.length_ns;
	visit->stage = BETWEEN;
	visit->due_mono_ns = form->until_ns;
	return NULL;
}

static struct cprof_error *take_spell(struct cprof_visit *visit)
{
	if (visit->stage == FIRST)
		return begin_spell(visit);
	leave_channel(visit);
	succeed(visit, &visit->last);
	return NULL;
}

/* What was asked for has come, or something else has. */
static struct cprof_error *take_part(struct cprof_visit *visit)
{
	struct cprof_buffer *part = visit->stage == FIRST ? &visit->first : &visit->last;
	struct cprof_error *err = cprof_work_reader_finish(&visit->reader, part);
	cprof_work_reader_deinit(&visit->reader);
	if (err && err->code != CPROF_ERR_NO_TARGET && err->code != CPROF_ERR_OS &&
	    visit->streams && visit->stage == FIRST) {
		cprof_error_free(err);
		return go_alone(visit);
	}
	if (err && err->code == CPROF_ERR_OS && visit->channel->running) {
		cprof_error_free(err);
		wait_as_orphan(visit);
		return NULL;
	}
	if (err)
		return err;
	if (is_spell(visit))
		return take_spell(visit);
	if ((visit->ask.form.shape != CPROF_SHAPE_TEXT ||
	     visit->ask.endpoint->kind == CPROF_ENDPOINT_DELTA) &&
	    !cprof_profile_form_chooses(&visit->ask.form))
		cprof_channel_carry(visit->channel, part);
	if (visit->ask.endpoint->kind == CPROF_ENDPOINT_DELTA)
		return begin_next_delta(visit);
	if (visit->stage == LAST) {
		leave_channel(visit);
		visit->stage = QUEUED;
	} else if (visit->ask.length_ns) {
		visit->stage = BETWEEN;
		visit->due_mono_ns = cprof_clock_mono_ns() + visit->ask.length_ns;
	} else {
		succeed(visit, &visit->first);
	}
	return NULL;
}

/* ---- works ---- */

static struct cprof_error *difference(void *ctx, int stop_fd, int ask_fd,
				      struct cprof_buffer *ret_bytes)
{
	const struct cprof_visit *visit = ctx;
	(void)stop_fd;
	(void)ask_fd;
	return cprof_profile_form_difference(&visit->ask.form, &visit->first, &visit->last,
					     ret_bytes);
}

static struct cprof_error *start_look(struct cprof_visit *visit)
{
	const struct cprof_ask *ask = &visit->ask;
	struct cprof_look_threads look = {
		.subject = visit->house->subject,
		.form = ask->form,
		.dump = ask->debug >= 2,
		.go_words = strcmp(ask->endpoint->name, "goroutine") == 0,
	};
	return cprof_look_threads_start(&look, &visit->work);
}

static struct cprof_error *start_names(struct cprof_visit *visit)
{
	const struct cprof_http_request *request = visit->request;
	const bool posted = strcmp(request->method, "POST") == 0;
	struct cprof_look_names look = {
		.subject = visit->house->subject,
		.addresses = posted ? (const char *)request->body : request->query,
		.n_addresses = posted ? request->n_body : strlen(request->query),
	};
	return cprof_look_names_start(&look, &visit->work);
}

static struct cprof_error *start_work(struct cprof_visit *visit)
{
	if (!may_work(visit))
		return NULL;
	struct cprof_error *err =
		visit->ask.endpoint->kind == CPROF_ENDPOINT_SYMBOL ? start_names(visit)
		: visit->ask.endpoint->kind == CPROF_ENDPOINT_MOMENT
			? start_look(visit)
			: cprof_work_start("cprof-difference", difference, visit, -1, &visit->work);
	if (err)
		return err;
	++*visit->house->works;
	visit->works = true;
	visit->stage = WORKING;
	return NULL;
}

static struct cprof_error *take_work(struct cprof_visit *visit)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_error *err = cprof_work_reader_finish(&visit->work.reader, &bytes);
	end_work(visit);
	if (!err)
		succeed(visit, &bytes);
	return err;
}

/* ---- stages ---- */

static struct cprof_error *begin(struct cprof_visit *visit)
{
	const enum cprof_endpoint_kind kind = visit->ask.endpoint->kind;
	if (kind == CPROF_ENDPOINT_WINDOW || kind == CPROF_ENDPOINT_SINCE ||
	    kind == CPROF_ENDPOINT_DELTA || kind == CPROF_ENDPOINT_SPELL)
		return use_channel(visit);
	visit->stage = visit->ask.length_ns ? BETWEEN : QUEUED;
	if (visit->stage == BETWEEN)
		visit->due_mono_ns = cprof_clock_mono_ns() + visit->ask.length_ns;
	return NULL;
}

static struct cprof_error *after_the_seconds(struct cprof_visit *visit)
{
	visit->due_mono_ns = UINT64_MAX;
	if (visit->channel)
		return ask_for_part(visit, LAST);
	visit->stage = QUEUED;
	return NULL;
}

static struct cprof_error *step(struct cprof_visit *visit, uint64_t mono_ns)
{
	const struct cprof_target *target = visit->house->target;
	if (visit->channel && target->exited && (visit->streams || !visit->channel->running))
		return has_ended(target);
	if (visit->channel && !visit->channel->running)
		return visit->streams && visit->stage <= ORPHAN && !visit->first.len
			       ? go_alone(visit)
			       : cprof_channel_why(visit->channel);
	switch (visit->stage) {
	case BEGIN:
		return begin(visit);
	case FIRST:
	case LAST:
		return cprof_work_reader_take(&visit->reader) ? take_part(visit) : NULL;
	case BETWEEN:
		return mono_ns >= visit->due_mono_ns ? after_the_seconds(visit) : NULL;
	case QUEUED:
		return start_work(visit);
	case WORKING:
		return cprof_work_reader_take(&visit->work.reader) ? take_work(visit) : NULL;
	case ORPHAN:
		if (mono_ns < visit->due_mono_ns)
			return NULL;
		return visit->streams && !visit->first.len
			       ? go_alone(visit)
			       : cprof_error_new(CPROF_ERR_OS, "failed to collect profile");
	case OVER:
		break;
	}
	return NULL;
}

bool cprof_visit_run(struct cprof_visit *visit, uint64_t mono_ns)
{
	enum stage before;
	do {
		before = visit->stage;
		struct cprof_error *err = step(visit, mono_ns);
		if (err)
			fail(visit, err);
	} while (visit->stage != before && visit->stage != OVER);
	return visit->stage == OVER;
}
