/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/live/live.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/continuous/followed.h"
#include "attach/live/live_model.h"
#include "attach/live/live_page.h"
#include "attach/live/live_screen.h"
#include "attach/live/live_view.h"
#include "attach/live/live_warnings.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/work.h"
#include "cprof/pprof_read.h"

#define ROWS_MAX      5000 /* of each table, times the budget */
#define WORKS_MAX     1
#define END_NS        (5 * CPROF_NS_PER_S)
#define WARNED_NS     (5 * CPROF_NS_PER_S) /* how long a warning stands on the screen */
#define PLAIN_ROWS    20
#define PLAIN_COLUMNS 200
#define DEAF_MAX      100 /* times that the terminal says it has a key, and has none: it is gone */

enum { STOP, WATCH, TARGET, SIGNALS, KEYS, OWN_FDS };

struct state {
	const struct cprof_live *told;
	struct cprof_followed_shared shared;
	struct cprof_followed followed;
	struct cprof_live_model model;
	struct cprof_live_view view;
	struct cprof_live_page page;
	struct cprof_live_screen *screen; /* NULL: none, or none yet */
	bool plain;                       /* there will be none */
	bool unread;                      /* what would be printed */
	struct cprof_live_warnings warnings;
	struct cprof_buffer message;    /* owned; what the screen tells once, */
	uint64_t message_until_mono_ns; /* or until a key; UINT64_MAX */
	struct cprof_error *err;        /* owned; why it ends */
	char title[CPROF_COMM_MAX + 64];
	int watch_fd;
	unsigned deaf;
	uint64_t lost, lost_before; /* samples; by recordings that have ended */
	uint64_t started_mono_ns;   /* the recording that is seen; 0: none was yet */
	bool begun_again;
	uint64_t end_mono_ns, frozen_due_mono_ns;
	bool over;
};

static void end_for(struct state *state, struct cprof_error *err)
{
	if (state->err)
		cprof_error_free(err);
	else
		state->err = err;
	state->over = state->over || err;
}

/* ---- showing ---- */

static void print(struct state *state)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (state->unread)
		return;
	for (size_t i = 0; i < state->page.n; i++)
		cprof_buffer_printf(&text, "%s\n", cprof_live_page_line(&state->page, i));
	cprof_buffer_putc(&text, '\n');
	struct cprof_error *err = state->told->print(state->told->ctx, cprof_buffer_text(&text),
						     text.len, &state->unread);
	state->unread = state->unread || err;
	state->over = state->over || state->unread;
	end_for(state, err);
}

static size_t rows_to_see(const struct state *state)
{
	size_t columns, lines = 0;
	if (state->screen)
		cprof_live_screen_size(state->screen, &columns, &lines);
	return cprof_live_page_rows(lines);
}

/* One that was killed is begun again, and counts from nothing. */
static void see_recording(struct state *state, const struct cprof_recording *recording)
{
	if (recording->started_mono_ns == state->started_mono_ns)
		return;
	state->begun_again = state->started_mono_ns != 0;
	state->lost_before = state->lost;
	state->started_mono_ns = recording->started_mono_ns;
}

/* As of some seconds ago: the recording writes it as it goes, and takes it along at its end. */
static void see_losses(struct state *state)
{
	const struct cprof_channel *channel = state->followed.streams[0].channel;
	if (!channel || !channel->running)
		return;
	see_recording(state, &channel->recording);
	const struct cprof_counts *counts = channel->recording.counts;
	if (counts && state->lost_before + counts->lost > state->lost)
		state->lost = state->lost_before + counts->lost;
}

static void show(struct state *state)
{
	see_losses(state);
	struct cprof_live_look look = {
		.columns = PLAIN_COLUMNS,
		.lines = PLAIN_ROWS,
		.screen = state->screen != NULL,
		.utf8 = state->told->utf8,
		.lost = state->lost,
		.title = state->title,
		.message = state->message.len ? cprof_buffer_text(&state->message) : NULL,
	};
	if (state->screen)
		cprof_live_screen_size(state->screen, &look.columns, &look.lines);
	struct cprof_error *err = cprof_live_view_refresh(&state->view, &state->model);
	if (!err)
		err = cprof_live_page_paint(&state->page, &state->model, &state->view, &look);
	if (err)
		end_for(state, err);
	else if (state->screen)
		cprof_live_screen_draw(state->screen, &state->page);
	else
		print(state);
}

/* Only once there is something to see: what cannot be profiled is told to a terminal that is as it was. */
static void open_screen(struct state *state)
{
	struct cprof_error *err = cprof_live_screen_open(&state->screen);
	state->plain = err != NULL;
	if (!err)
		return;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "warning: %s; the tables are plain text%s%s", err->message,
			    err->hint ? "\nhint: " : "", err->hint ? err->hint : "");
	state->told->say(state->told->ctx, cprof_buffer_text(&text));
	cprof_error_free(err);
}

/* ---- windows ---- */

/* On a screen it stands in the line that says how the table is looked at, unless what a key has asked for is told there. */
static void tell(struct state *state, const struct cprof_buffer *text, uint64_t until_mono_ns)
{
	if (!text->len)
		return;
	if (state->plain) {
		state->told->say(state->told->ctx, cprof_buffer_text(text));
	} else if (!state->message.len) {
		cprof_buffer_append(&state->message, text->data, text->len);
		state->message_until_mono_ns = until_mono_ns;
	}
}

static void end_message(struct state *state)
{
	if (cprof_clock_mono_ns() >= state->message_until_mono_ns)
		state->message.len = 0;
}

static void on_window(void *ctx, const struct cprof_target *target, const char *mode,
		      const struct cprof_cut *cut)
{
	struct state *state = ctx;
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	(void)target;
	(void)mode;
	const uint64_t length_ns = cut->until_wall_ns - cut->from_wall_ns;
	if (!cut->n_file && !state->model.windows && length_ns < state->told->every_ns / 2)
		return; /* it has hardly begun: the next one says more */
	struct cprof_error *err =
		cut->n_file ? cprof_pprof_decode(cut->file, cut->n_file, &profile) : NULL;
	CPROF_AUTO(buffer) struct cprof_buffer fresh = { 0 };
	if (!err)
		err = cprof_live_model_add(&state->model, profile, length_ns);
	if (err) {
		end_for(state, cprof_error_wrap(err, "add up a window"));
		return;
	}
	if (!state->screen && !state->plain && !state->over)
		open_screen(state);
	end_message(state);
	if (profile)
		cprof_live_warnings_take(&state->warnings, profile, &fresh);
	tell(state, &fresh, cprof_clock_mono_ns() + WARNED_NS);
	/* After the last one the terminal is the user's again. */
	if (state->plain || state->screen)
		show(state);
}

/* Before there is anything to see it is why there will be nothing. */
static void on_trouble(void *ctx, const struct cprof_target *target, const char *mode,
		       struct cprof_error *err)
{
	struct state *state = ctx;
	(void)target;
	(void)mode;
	if (!state->model.windows) {
		end_for(state, err);
		return;
	}
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "warning: %s", err->message);
	state->message.len = 0;
	tell(state, &text, 0); /* until there is a window again */
	cprof_error_free(err);
}

/* ---- keys ---- */

/* All that the recording has, up to the end of the window that is shown. */
static void save(struct state *state)
{
	const struct cprof_stream *stream = &state->followed.streams[0];
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	struct cprof_cut cut = { 0 };
	struct cprof_error *err =
		stream->first.len ? cprof_cut_make(&stream->form, NULL, &stream->first, &bytes)
				  : NULL;
	state->message.len = 0;
	state->message_until_mono_ns = UINT64_MAX;
	if (err)
		cprof_buffer_printf(&state->message, "not saved: %s", err->message);
	else if (!cprof_cut_read(&bytes, &cut) || !cut.n_file)
		cprof_buffer_puts(&state->message, "nothing to save yet");
	else
		state->told->save(state->told->ctx, cut.file, cut.n_file, &state->message);
	if (cut.n_file && state->begun_again)
		cprof_buffer_puts(&state->message,
				  " (since the recording was begun again, not since the start)");
	cprof_error_free(err);
}

/* While it is frozen no window ends, so what is there to be looked at stays as it is, and so does what would be saved. */
static void follow_freeze(struct state *state, bool frozen_before)
{
	if (state->view.frozen == frozen_before)
		return;
	if (state->view.frozen)
		state->frozen_due_mono_ns = state->followed.due_mono_ns;
	state->followed.due_mono_ns = state->view.frozen ? UINT64_MAX : state->frozen_due_mono_ns;
}

static void take_keys(struct state *state)
{
	int key, n = 0;
	while ((key = cprof_live_screen_key(state->screen)) >= 0) {
		const bool frozen = state->view.frozen;
		state->message.len = 0;
		n++;
		switch (cprof_live_view_key(&state->view, &state->model, key, rows_to_see(state))) {
		case CPROF_LIVE_WISH_NONE:
			break;
		case CPROF_LIVE_WISH_QUIT:
			state->over = true;
			return;
		case CPROF_LIVE_WISH_SAVE:
			save(state);
			break;
		}
		follow_freeze(state, frozen);
		end_for(state, cprof_live_view_refresh(&state->view, &state->model));
	}
	state->deaf = n ? 0 : state->deaf + 1;
	if (state->deaf > DEAF_MAX)
		state->over = true;
	show(state);
}

/* ---- the loop ---- */

/* A window that was being cut when the table was frozen waits for the thaw; recordings do not wait for it. */
static bool is_held(const struct state *state)
{
	return state->view.frozen && !state->over &&
	       state->followed.streams[0].stage == CPROF_STREAM_CUTTING;
}

static size_t fill(const struct state *state, struct pollfd *fds)
{
	const bool screen = state->screen != NULL;
	const int own[OWN_FDS] = {
		[STOP] = state->over ? -1 : state->told->stop_fd,
		[WATCH] = state->watch_fd,
		[TARGET] = state->over ? -1 : state->told->target->pidfd,
		[SIGNALS] = screen ? cprof_live_screen_signals_fd(state->screen) : -1,
		[KEYS] = screen ? STDIN_FILENO : -1,
	};
	for (size_t i = 0; i < OWN_FDS; i++)
		fds[i] = (struct pollfd){ .fd = own[i], .events = POLLIN };
	return is_held(state) ? OWN_FDS : cprof_followed_poll(&state->followed, fds, OWN_FDS);
}

static void wait_until(const struct state *state, struct pollfd *fds, uint64_t due_mono_ns)
{
	const size_t n = fill(state, fds);
	const uint64_t now = cprof_clock_mono_ns();
	const uint64_t wait = due_mono_ns > now ? due_mono_ns - now : 0;
	/* UINT64_MAX, never, is more than any time_t that poll takes. */
	const struct timespec timeout = { .tv_sec = (time_t)(wait / CPROF_NS_PER_S),
					  .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	if (ppoll(fds, n, &timeout, NULL) <= 0) {
		for (size_t i = 0; i < n; i++)
			fds[i].revents = 0;
	}
}

static void run_followed(struct state *state)
{
	if (!is_held(state)) {
		cprof_followed_run(&state->followed, cprof_clock_mono_ns());
		cprof_followed_cut(&state->followed);
	}
	if (state->view.frozen)
		state->followed.due_mono_ns = UINT64_MAX;
	cprof_work_reap(state->watch_fd);
}

static void turn(struct state *state)
{
	struct pollfd fds[OWN_FDS + CPROF_FOLLOWED_FDS];
	const uint64_t due = state->followed.due_mono_ns;
	wait_until(state, fds, due < state->end_mono_ns ? due : state->end_mono_ns);
	if (fds[STOP].revents || fds[TARGET].revents ||
	    cprof_clock_mono_ns() >= state->end_mono_ns) {
		state->over = true;
		return;
	}
	run_followed(state);
	if (fds[SIGNALS].revents) {
		if (!cprof_live_screen_signals(state->screen))
			state->over = true;
		else
			show(state);
	}
	if (fds[KEYS].revents & (POLLHUP | POLLERR | POLLNVAL))
		state->over = true;
	else if (fds[KEYS].revents && !state->over)
		take_keys(state);
}

/* What a recording that was killed has left is removed by the next one: there is none any more. */
static void clean(struct state *state)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_followed_clean(&state->followed);
	if (err) {
		cprof_buffer_printf(&text, "warning: %s\nhint: %s", err->message, err->hint);
		state->told->say(state->told->ctx, cprof_buffer_text(&text));
	}
	cprof_error_free(err);
}

/* The target as it was found. What it had at its end is shown in plain tables only. */
static void end(struct state *state)
{
	struct pollfd fds[OWN_FDS + CPROF_FOLLOWED_FDS];
	const uint64_t until = cprof_clock_mono_ns() + END_NS;
	const bool had_screen = state->screen != NULL;
	cprof_live_screen_close(state->screen);
	state->screen = NULL;
	state->over = true;
	cprof_followed_finish(&state->followed, !cprof_target_alive(state->told->target));
	while (!cprof_followed_over(&state->followed) && cprof_clock_mono_ns() < until) {
		run_followed(state);
		if (!cprof_followed_over(&state->followed))
			wait_until(state, fds, until);
	}
	clean(state);
	if (had_screen && state->warnings.last.len) /* on it they passed by */
		state->told->say(state->told->ctx, cprof_buffer_text(&state->warnings.last));
	if (state->told->target->exited && !state->err) {
		char text[CPROF_COMM_MAX + 64];
		snprintf(text, sizeof(text), "process %d (%s) has ended",
			 (int)state->told->target->pid, state->told->target->comm);
		state->told->say(state->told->ctx, text);
	}
}

static void begin(struct state *state)
{
	const struct cprof_live *told = state->told;
	state->shared = (struct cprof_followed_shared){
		.modes = &told->mode,
		.n_modes = 1,
		.requests = told->requests,
		.naming = told->naming,
		.threads = told->threads,
		.command_line = told->command_line,
		.host = "",
		.every_ns = told->every_ns,
		.recordings_max = 1,
		.works_max = WORKS_MAX,
		.window = on_window,
		.trouble = on_trouble,
		.ctx = state,
	};
	snprintf(state->title, sizeof(state->title), "%s of %s (%d)", told->mode->name,
		 told->target->comm, (int)told->target->pid);
	cprof_live_model_init(&state->model,
			      ROWS_MAX * (told->naming.budget ? told->naming.budget : 1));
	cprof_live_view_init(&state->view, told->mode->name);
	cprof_followed_init(&state->followed, told->target, &state->shared);
	state->followed.streams[0].form.all_labels = true; /* threads of one name are several */
}

struct cprof_error *cprof_live_run(const struct cprof_live *live)
{
	struct state state = { .told = live,
			       .plain = !live->screen,
			       .watch_fd = -1,
			       .end_mono_ns = live->length_ns
						      ? cprof_clock_mono_ns() + live->length_ns
						      : UINT64_MAX };
	struct cprof_error *err = cprof_work_watch(&state.watch_fd);
	if (err) {
		cprof_target_close(live->target);
		return err;
	}
	begin(&state);
	while (!state.over)
		turn(&state);
	end(&state);
	cprof_followed_deinit(&state.followed);
	cprof_live_page_deinit(&state.page);
	cprof_live_view_deinit(&state.view);
	cprof_live_model_deinit(&state.model);
	cprof_buffer_deinit(&state.message);
	cprof_live_warnings_deinit(&state.warnings);
	close(state.watch_fd);
	return state.err;
}
