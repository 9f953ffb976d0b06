/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/window.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/clock.h"

void cprof_window_deinit(struct cprof_window *window)
{
	free(window->poll);
	window->poll = NULL;
	window->cap_poll = 0;
}

void cprof_window_start(struct cprof_window *window)
{
	window->start_mono_ns = cprof_clock_mono_ns();
	window->start_wall_ns = cprof_clock_wall_ns();
	window->end = CPROF_WINDOW_OPEN;
	window->next_progress_ns = window->start_mono_ns + window->progress_every_ns;
	if (window->on_start)
		window->on_start(window->start_ctx);
}

uint64_t cprof_window_elapsed_ns(const struct cprof_window *window)
{
	uint64_t until =
		window->end == CPROF_WINDOW_OPEN ? cprof_clock_mono_ns() : window->end_mono_ns;
	return until - window->start_mono_ns;
}

static bool over(struct cprof_window *window, enum cprof_window_end why, uint64_t mono_ns)
{
	window->end = why;
	window->end_mono_ns = mono_ns;
	return false;
}

void cprof_window_stop(struct cprof_window *window)
{
	if (window->end == CPROF_WINDOW_OPEN)
		over(window, CPROF_WINDOW_STOPPED, cprof_clock_mono_ns());
}

void cprof_window_look_back(struct cprof_window *window, uint64_t from_ns, uint64_t until_ns)
{
	const uint64_t now = cprof_clock_mono_ns();
	const uint64_t end = window->end == CPROF_WINDOW_OPEN ? now : window->end_mono_ns;
	if (window->start_mono_ns < from_ns)
		window->start_mono_ns = from_ns < end ? from_ns : end;
	if (window->end == CPROF_WINDOW_OPEN)
		window->end = CPROF_WINDOW_STOPPED;
	window->end_mono_ns = until_ns < end ? until_ns : end;
	if (window->end_mono_ns < window->start_mono_ns)
		window->end_mono_ns = window->start_mono_ns;
	/* As the clock says today: it may have been set since the window began. */
	window->start_wall_ns = cprof_clock_wall_ns() - (now - window->start_mono_ns);
}

/* The caller's descriptors, then stop_fd, then who asks for snapshots, then a pidfd per target that still runs. */
static size_t fill(struct cprof_window *window, const struct pollfd *fds, size_t n_fds)
{
	size_t want = n_fds + 2 + window->n_targets;
	if (!CPROF_ARRAY_ROOM(window->poll, 0, window->cap_poll, want))
		return 0;
	size_t n = 0;
	for (size_t i = 0; i < n_fds; i++)
		window->poll[n++] = fds[i];
	window->poll[n++] = (struct pollfd){ .fd = window->stop_fd, .events = POLLIN };
	int ask_fd = window->snapshots ? cprof_snapshots_fd(window->snapshots) : -1;
	window->poll[n++] = (struct pollfd){ .fd = ask_fd, .events = POLLIN };
	for (size_t i = 0; i < window->n_targets; i++) {
		struct cprof_target *target = window->targets[i];
		window->poll[n++] = (struct pollfd){ .fd = target->exited ? -1 : target->pidfd,
						     .events = POLLIN };
	}
	return n;
}

static void note_exits(struct cprof_window *window, const struct pollfd *pidfds)
{
	for (size_t i = 0; i < window->n_targets; i++) {
		if (pidfds[i].revents)
			cprof_target_ended(window->targets[i]);
	}
}

static bool all_exited(const struct cprof_window *window)
{
	for (size_t i = 0; i < window->n_targets; i++) {
		if (!window->targets[i]->exited)
			return false;
	}
	return window->n_targets > 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

bool cprof_window_wait(struct cprof_window *window, struct pollfd *fds, size_t n_fds,
		       uint64_t at_most_ns, const struct cprof_counts *counts)
{
	if (window->end != CPROF_WINDOW_OPEN)
		return false;
	uint64_t now = cprof_clock_mono_ns(), wait = all_exited(window) ? 0 : at_most_ns;
	uint64_t deadline =
		window->length_ns ? window->start_mono_ns + window->length_ns : UINT64_MAX;
	wait = least(wait, deadline > now ? deadline - now : 0);
	if (window->progress)
		wait = least(wait,
			     window->next_progress_ns > now ? window->next_progress_ns - now : 0);

	size_t n = fill(window, fds, n_fds);
	if (!n) /* no memory: end in good order, with what there is */
		return over(window, CPROF_WINDOW_STOPPED, now);
	struct timespec timeout = { .tv_sec = (time_t)(wait / CPROF_NS_PER_S),
				    .tv_nsec = (long)(wait % CPROF_NS_PER_S) };
	int ready = ppoll(window->poll, n, &timeout, NULL);
	now = cprof_clock_mono_ns();
	if (ready > 0) {
		for (size_t i = 0; i < n_fds; i++)
			fds[i].revents = window->poll[i].revents;
		if (window->poll[n_fds].revents)
			return over(window, CPROF_WINDOW_STOPPED, now);
		note_exits(window, &window->poll[n_fds + 2]);
	} else {
		for (size_t i = 0; i < n_fds; i++)
			fds[i].revents = 0;
	}
	/* Also where somebody else found out first, and we wait for that pidfd no more. */
	if (all_exited(window))
		return over(window, CPROF_WINDOW_EXITED, now);
	if (now >= deadline)
		return over(window, CPROF_WINDOW_TIME, deadline);
	if (window->progress && now >= window->next_progress_ns) {
		window->next_progress_ns = now + window->progress_every_ns;
		window->progress(window->progress_ctx, window, counts);
	}
	return true;
}
