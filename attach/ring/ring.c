/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/ring/ring.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "attach/ring/gauge.h"
#include "attach/ring/ring_server.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define OTHER_FDS 6
#define HANDED_NS                                                                                  \
	(CPROF_NS_PER_S * 3 / 20)    /* until what happened before is in the recording's memory */
#define END_NS (10 * CPROF_NS_PER_S) /* for the last profile, once it is told to end */

enum asking { NOBODY, FOR_TRIGGER, FOR_CLIENTS };

struct watch {
	const struct cprof_ring *ring;
	struct cprof_ring_recording recording;
	struct cprof_gauge *gauge;        /* owned */
	struct cprof_ring_server *server; /* owned; NULL: none */
	struct cprof_ring_counts *counts;
	bool begun; /* the recording has: before that nothing is to be looked back at */
	uint64_t end_mono_ns;

	/* A trigger whose file is not written yet. */
	bool pending;
	uint64_t triggered_mono_ns;
	struct cprof_buffer reason; /* owned */

	enum asking asking;
	struct cprof_work_reader reader;
	struct cprof_buffer asked; /* owned; the reason that was asked with */
	bool over;
	bool hurried;                /* told to end: nothing is waited for any more */
	bool unanswered;             /* a file was asked for, and none came */
	struct cprof_error *failure; /* owned */
};

static void fail(struct watch *watch, struct cprof_error *err)
{
	if (!err)
		return;
	if (watch->failure)
		cprof_error_free(err);
	else
		watch->failure = err;
	watch->over = true;
}

static void say(const struct watch *watch, const struct cprof_buffer *text)
{
	watch->ring->say(watch->ring->ctx, cprof_buffer_text(text));
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* ---- triggers ---- */

static void trigger(struct watch *watch, const char *reason)
{
	const struct cprof_ring *ring = watch->ring;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	watch->counts->triggers++;
	if (watch->pending) {
		if (watch->reason.len < CPROF_RING_REASON_MAX)
			cprof_buffer_printf(&watch->reason, ", %s", reason);
		return;
	}
	watch->pending = true;
	watch->triggered_mono_ns = cprof_clock_mono_ns();
	cprof_buffer_deinit(&watch->reason);
	cprof_buffer_puts(&watch->reason, reason);
	cprof_buffer_printf(&text, "triggered by %s", reason);
	if (ring->after_ns && !watch->hurried)
		cprof_buffer_printf(&text, "; recording for %.3g s more",
				    (double)ring->after_ns / 1e9);
	say(watch, &text);
}

static void look_at_values(struct watch *watch)
{
	const struct cprof_ring *ring = watch->ring;
	struct cprof_trigger_values values;
	if (!cprof_gauge_read(watch->gauge, &values))
		return;
	for (size_t i = 0; i < ring->n_triggers; i++) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		if (!cprof_trigger_look(&ring->triggers[i], &values))
			continue;
		cprof_trigger_describe(&ring->triggers[i], &values, &text);
		trigger(watch, cprof_buffer_text(&text));
	}
}

static void look_at_signal(struct watch *watch, int fd, const char *reason)
{
	uint64_t times;
	if (fd >= 0 && read(fd, &times, sizeof(times)) == sizeof(times))
		trigger(watch, reason);
}

static void on_post(void *ctx, struct cprof_buffer *answer)
{
	struct watch *watch = ctx;
	trigger(watch, "POST /debug/ring");
	cprof_buffer_printf(answer, "triggered: the file is written in %.3g s\n",
			    (double)watch->ring->after_ns / 1e9);
}

/* ---- profiles ---- */

static void ask(struct watch *watch, enum asking why, uint64_t from_ns, uint64_t until_ns,
		const char *reason)
{
	struct cprof_error *err = cprof_ring_recording_ask(&watch->recording, from_ns, until_ns,
							   reason, &watch->reader);
	/* The recording has ended, maybe: its result says why. */
	if (err && why == FOR_CLIENTS)
		cprof_ring_server_give(watch->server, NULL, 0, err);
	if (!err)
		watch->asking = why;
	else if (why == FOR_TRIGGER)
		watch->unanswered = true;
	cprof_error_free(err);
}

static uint64_t due_ns(const struct watch *watch)
{
	if (!watch->pending || (!watch->begun && !watch->hurried))
		return UINT64_MAX;
	return watch->hurried ? 0 : watch->triggered_mono_ns + watch->ring->after_ns + HANDED_NS;
}

/* What is due is asked for, one at a time. */
static void ask_next(struct watch *watch, uint64_t now_ns)
{
	const struct cprof_ring *ring = watch->ring;
	if (watch->asking != NOBODY)
		return;
	if (now_ns >= due_ns(watch)) {
		const uint64_t at = watch->triggered_mono_ns;
		cprof_buffer_deinit(&watch->asked);
		watch->asked = watch->reason;
		watch->reason = (struct cprof_buffer){ 0 };
		watch->pending = false;
		ask(watch, FOR_TRIGGER, at > ring->before_ns ? at - ring->before_ns : 0,
		    least(at + ring->after_ns, now_ns) + 1, cprof_buffer_text(&watch->asked));
	} else if (cprof_ring_server_wants(watch->server)) {
		const uint64_t length_ns = ring->before_ns + ring->after_ns;
		ask(watch, FOR_CLIENTS, now_ns > length_ns ? now_ns - length_ns : 0, now_ns + 1,
		    "GET /debug/ring");
	}
}

static void write_profile(struct watch *watch, const struct cprof_ring_profile *profile,
			  const char *reason)
{
	struct cprof_error *err = watch->ring->write(watch->ring->ctx, profile, reason);
	watch->counts->files += !err;
	fail(watch, err);
}

static void take_answer(struct watch *watch)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_ring_profile profile;
	const enum asking why = watch->asking;
	if (why == NOBODY || !cprof_work_reader_take(&watch->reader))
		return;
	struct cprof_error *err = cprof_work_reader_finish(&watch->reader, &bytes);
	cprof_work_reader_deinit(&watch->reader);
	watch->asking = NOBODY;
	if (!err && !cprof_ring_profile_read(&bytes, &profile))
		err = cprof_error_new(CPROF_ERR_OS, "the recording has sent no whole profile");
	if (why == FOR_CLIENTS) {
		cprof_ring_server_give(watch->server, err ? NULL : profile.file,
				       err ? 0 : profile.n_file, err);
		cprof_error_free(err);
		return;
	}
	if (!err) {
		write_profile(watch, &profile, cprof_buffer_text(&watch->asked));
		return;
	}
	watch->unanswered = true;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "no profile for %s: %s", cprof_buffer_text(&watch->asked),
			    err->message);
	say(watch, &text);
	cprof_error_free(err);
}

/* With a profile where its target has ended; else why. */
static void take_recording(struct watch *watch)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 }, text = { 0 };
	const struct cprof_target *target = watch->ring->target;
	struct cprof_ring_profile profile;
	if (watch->over || !cprof_work_reader_take(&watch->recording.work.reader))
		return;
	struct cprof_error *err = cprof_work_reader_finish(&watch->recording.work.reader, &bytes);
	watch->over = true;
	if (err) {
		fail(watch, err);
		return;
	}
	if (!cprof_ring_profile_read(&bytes, &profile))
		return;
	cprof_buffer_printf(&text, "process %d (%s) %s", (int)target->pid, target->comm,
			    profile.ending);
	say(watch, &text);
	watch->counts->triggers++;
	/* What had triggered before, and was waited for, is in this one: nothing comes any more. */
	cprof_buffer_deinit(&text);
	cprof_buffer_puts(&text, "its end");
	if (watch->pending)
		cprof_buffer_printf(&text, ", after %s", cprof_buffer_text(&watch->reason));
	write_profile(watch, &profile, cprof_buffer_text(&text));
}

/* ---- the loop ---- */

/* The time that is asked for begins with it; so does what is to be seen of a trigger that came before. */
static void begin(struct watch *watch)
{
	const uint64_t now = cprof_clock_mono_ns();
	watch->begun = true;
	watch->triggered_mono_ns = now;
	if (watch->ring->length_ns)
		watch->end_mono_ns = now + watch->ring->length_ns;
}

static void wait_for_something(struct watch *watch, struct pollfd *fds, size_t n)
{
	uint64_t due = cprof_ring_server_due_mono_ns(watch->server);
	if (watch->begun)
		due = least(due, cprof_gauge_due_mono_ns(watch->gauge));
	if (watch->asking == NOBODY)
		due = least(due, due_ns(watch));
	due = least(due, watch->end_mono_ns);
	const uint64_t now = cprof_clock_mono_ns();
	const uint64_t wait = due > now ? due - now : 0;
	const struct timespec timeout = { .tv_sec = (time_t)least(wait / CPROF_NS_PER_S, 3600),
					  .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	if (ppoll(fds, (nfds_t)n, &timeout, NULL) < 0) {
		for (size_t i = 0; i < n; i++) /* a signal: nothing is known of them */
			fds[i].revents = 0;
	}
}

/* One turn. False: it is told to end. */
static bool turn(struct watch *watch)
{
	const struct cprof_ring *ring = watch->ring;
	struct pollfd fds[OTHER_FDS + CPROF_RING_SERVER_FDS] = {
		{ .fd = ring->stop_fd, .events = POLLIN },
		{ .fd = ring->signal_fds[0], .events = POLLIN },
		{ .fd = ring->signal_fds[1], .events = POLLIN },
		{ .fd = watch->recording.work.reader.fd, .events = POLLIN },
		{ .fd = watch->asking != NOBODY ? watch->reader.fd : -1, .events = POLLIN },
		{ .fd = watch->begun ? -1 : watch->recording.ask_fd, .events = POLLIN },
	};
	const size_t n = cprof_ring_server_poll(watch->server, fds, OTHER_FDS);
	wait_for_something(watch, fds, n);
	if (fds[0].revents)
		return false;
	if (fds[1].revents)
		look_at_signal(watch, ring->signal_fds[0], "signal USR1");
	if (fds[2].revents)
		look_at_signal(watch, ring->signal_fds[1], "signal USR2");
	cprof_ring_server_run(watch->server, fds + OTHER_FDS, n - OTHER_FDS);
	if (!watch->begun && cprof_ring_recording_has_begun(&watch->recording))
		begin(watch);
	if (watch->begun)
		look_at_values(watch);
	take_answer(watch);
	take_recording(watch);
	const uint64_t now = cprof_clock_mono_ns();
	if (!watch->over)
		ask_next(watch, now);
	return !watch->over && now < watch->end_mono_ns;
}

/* Ctrl-C in a terminal ends the target, too: its last profile is on its way then, and says what others would have. */
static bool last_comes(const struct watch *watch)
{
	return watch->unanswered && !cprof_target_alive(watch->ring->target);
}

/* Told to end: what was triggered is written still, and what there is where nothing was. */
static void finish(struct watch *watch)
{
	const uint64_t until = cprof_clock_mono_ns() + END_NS;
	watch->hurried = true;
	if (!watch->pending && watch->asking != FOR_TRIGGER && !watch->counts->files)
		trigger(watch, "the end of the recording");
	while (!watch->over &&
	       (watch->pending || watch->asking == FOR_TRIGGER || last_comes(watch)) &&
	       cprof_clock_mono_ns() < until) {
		ask_next(watch, cprof_clock_mono_ns());
		struct pollfd fds[] = { { .fd = watch->reader.fd, .events = POLLIN },
					{ .fd = watch->recording.work.reader.fd,
					  .events = POLLIN } };
		poll(fds, 2, (int)(END_NS / 1000000));
		take_answer(watch);
		take_recording(watch);
	}
}

/* ---- life ---- */

static struct cprof_error *open_gauge(struct watch *watch)
{
	bool wants[CPROF_TRIGGER_VALUES] = { false };
	for (size_t i = 0; i < watch->ring->n_triggers; i++) {
		if (watch->ring->triggers[i].what < CPROF_TRIGGER_VALUES)
			wants[watch->ring->triggers[i].what] = true;
	}
	return cprof_gauge_open(watch->ring->target, wants, &watch->gauge);
}

static struct cprof_error *start(struct watch *watch)
{
	const struct cprof_ring *ring = watch->ring;
	const struct cprof_ring_subject subject = {
		.subject = { .pid = ring->target->pid,
			     .start_ticks = ring->target->start_ticks,
			     .requests = ring->requests,
			     .naming = ring->naming,
			     .threads = ring->threads,
			     .request_labels = ring->request_labels,
			     .command_line = ring->command_line },
		.mode = ring->mode,
		.labels = ring->labels,
		.n_labels = ring->n_labels,
		.timeline = ring->timeline,
		.length_ns = ring->before_ns + ring->after_ns,
		.before_ns = ring->before_ns,
		.bytes_max = ring->bytes_max,
	};
	struct cprof_error *err = open_gauge(watch);
	if (!err && ring->http)
		err = cprof_ring_server_open(ring->http, ring->http_token_file, on_post, watch,
					     &watch->server);
	if (!err)
		err = cprof_ring_recording_start(&subject, &watch->recording);
	if (!err && watch->server) {
		CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
		cprof_buffer_printf(&text, "serving %s/debug/ring",
				    cprof_ring_server_url(watch->server));
		say(watch, &text);
	}
	return err;
}

struct cprof_error *cprof_ring_run(const struct cprof_ring *ring,
				   struct cprof_ring_counts *ret_counts)
{
	struct watch watch = { .ring = ring,
			       .recording = { .work = CPROF_WORK_NONE, .ask_fd = -1 },
			       .counts = ret_counts,
			       .reader = { .fd = -1 } };
	*ret_counts = (struct cprof_ring_counts){ 0 };
	watch.end_mono_ns = UINT64_MAX; /* it is known when the recording has begun */
	struct cprof_error *err = start(&watch);
	if (!err) {
		while (turn(&watch))
			;
		if (!watch.over)
			finish(&watch);
		err = watch.failure;
	}
	cprof_ring_recording_end(&watch.recording);
	cprof_ring_server_close(watch.server);
	cprof_gauge_close(watch.gauge);
	cprof_work_reader_deinit(&watch.reader);
	cprof_buffer_deinit(&watch.reason);
	cprof_buffer_deinit(&watch.asked);
	return err;
}
