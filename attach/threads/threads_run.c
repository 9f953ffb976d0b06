/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/threads_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/run_without.h"
#include "attach/run/session.h"
#include "attach/threads/thread_across.h"
#include "attach/threads/thread_profile.h"
#include "attach/threads/thread_text.h"
#include "attach/threads/thread_untold.h"
#include "attach/threads/thread_view.h"
#include "base/cleanup.h"

#define TOLD_MAX                                                                                   \
	16 /* snapshots that are told of one by one: notes stay, and a watch may last days */

struct threads {
	const struct cprof_run *run;
	const struct cprof_threads_request *request;
	struct cprof_run session_run;          /* the run, with the targets that have memory */
	struct cprof_target **session_targets; /* owned */
	struct cprof_session *session;         /* owned */
	struct cprof_symbolizer_options symbolizer;
	struct cprof_thread_view *views; /* owned */
	size_t n_views;
	uint64_t snapshot; /* number of the one being taken, from 1 */
};

/* ---- life ---- */

static void threads_deinit(struct threads *threads)
{
	for (size_t i = 0; i < threads->n_views; i++)
		cprof_thread_view_close(&threads->views[i]);
	cprof_session_free(threads->session);
	for (size_t i = 0; i < threads->n_views; i++)
		cprof_thread_view_deinit(&threads->views[i]);
	free(threads->views);
	free(threads->session_targets);
}

static struct cprof_error *open_session(struct threads *threads)
{
	static const struct cprof_builder_type types[] = { { "threads", "count" } };
	threads->session_targets = calloc(threads->n_views + 1, sizeof(*threads->session_targets));
	if (!threads->session_targets)
		return cprof_error_no_memory();
	threads->session_run = *threads->run;
	threads->session_run.targets = threads->session_targets;
	threads->session_run.n_targets = 0;
	for (size_t i = 0; i < threads->n_views; i++) {
		struct cprof_thread_view *view = &threads->views[i];
		if (!view->mute && !threads->request->core)
			threads->session_targets[threads->session_run.n_targets++] = view->target;
	}
	return cprof_session_new(&threads->session_run, types, 1, &threads->session);
}

static struct cprof_error *without(const struct threads *threads,
				   const struct cprof_thread_view *view, struct cprof_error *err)
{
	return cprof_run_without(threads->run->log, threads->run->targets, threads->run->n_targets,
				 view->target, err);
}

/* One that has ended is no view any more, if others are left. The last one, which is not open yet, takes its place. */
static void leave_out(struct threads *threads, struct cprof_thread_view *view)
{
	const struct cprof_thread_view *last = &threads->views[--threads->n_views];
	cprof_thread_view_close(view);
	cprof_thread_view_deinit(view);
	if (view != last)
		*view = *last;
}

static struct cprof_error *open_views(struct threads *threads)
{
	const struct cprof_run *run = threads->run;
	threads->views = calloc(run->n_targets + 1, sizeof(*threads->views));
	if (!threads->views)
		return cprof_error_no_memory();
	for (size_t i = 0; i < run->n_targets; i++)
		cprof_thread_view_init(&threads->views[threads->n_views++], run, threads->request,
				       run->targets[i]);
	struct cprof_error *err = open_session(threads);
	for (size_t i = 0; !err && !threads->request->core && i < threads->n_views;) {
		struct cprof_thread_view *view = &threads->views[i];
		if (!view->target->exited) /* else the session has told of it */
			err = cprof_thread_view_open(view, threads->session, &threads->symbolizer);
		err = without(threads, view, err);
		if (!err && view->target->exited)
			leave_out(threads, view);
		else
			i++;
	}
	return err;
}

/* ---- a snapshot ---- */

static bool has_frozen(const struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		if (cprof_thread_is_frozen(&snapshot->threads[i]))
			return true;
	}
	return false;
}

/* Each of several processes by its number: notes that are alike are told once. */
static void tell_means(const struct threads *threads, const struct cprof_thread_view *view)
{
	const struct cprof_thread_snapshot *now = &view->now;
	char of[32] = "";
	if (threads->n_views > 1)
		snprintf(of, sizeof(of), " of %d", (int)view->target->pid);
	cprof_run_log_note(
		threads->run->log, CPROF_NOTE_DETAIL,
		"threads%s: %zu in %.2f ms; registers by bpf %llu, proc %llu, perf %llu, "
		"ptrace %llu, none %llu; %llu stops",
		of, now->n, (double)now->capture_ns / 1e6,
		(unsigned long long)now->by_means[CPROF_MEANS_ITER],
		(unsigned long long)now->by_means[CPROF_MEANS_PROC],
		(unsigned long long)now->by_means[CPROF_MEANS_PERF],
		(unsigned long long)now->by_means[CPROF_MEANS_STOP],
		(unsigned long long)now->by_means[CPROF_MEANS_NONE],
		(unsigned long long)now->stopped);
}

/* A note for each: its first line, and those that go on with it. */
static void note_lines(struct cprof_run_log *log, enum cprof_note_kind kind, const char *text)
{
	for (const char *at = text; *at;) {
		const char *end = strchrnul(at, '\n');
		while (*end && end[1] == ' ')
			end = strchrnul(end + 1, '\n');
		if (end > at)
			cprof_run_log_note(log, kind, "%.*s", (int)(end - at), at);
		at = *end ? end + 1 : end;
	}
}

static void tell_deadlocks(struct cprof_run_log *log, const struct cprof_thread_snapshot *now)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_thread_text_deadlocks(now, &text);
	note_lines(log, CPROF_NOTE_FOUND, cprof_buffer_text(&text));
}

/* Once for each process: with -repeat they would be told of again and again. */
static struct cprof_error *tell_of_untold(const struct threads *threads,
					  struct cprof_thread_view *view)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (view->told_of_untold)
		return NULL;
	struct cprof_error *err = cprof_thread_untold_put(&view->now, &view->names, &text);
	view->told_of_untold = !err && text.len != 0;
	if (view->told_of_untold)
		note_lines(threads->run->log, CPROF_NOTE_WARNING, cprof_buffer_text(&text));
	return err;
}

static bool is_looked_at(const struct threads *threads, pid_t pid)
{
	for (size_t i = 0; i < threads->n_views; i++) {
		if (threads->views[i].target->pid == pid)
			return true;
	}
	return false;
}

/* Who holds a lock in shared memory may wait himself: that is seen only where both are looked at. */
static void tell_of_others(const struct threads *threads, const struct cprof_thread_view *view)
{
	for (size_t i = 0; i < view->now.n; i++) {
		const struct cprof_lock_wait *wait = &view->now.threads[i].wait;
		if (!wait->owner_pid || is_looked_at(threads, wait->owner_pid))
			continue;
		cprof_run_log_note(
			threads->run->log, CPROF_NOTE_PLAIN,
			"process %d \"%s\" holds a lock that process %d waits for; deadlocks "
			"of both are found by -p %d,%d",
			(int)wait->owner_pid, wait->owner_process, (int)view->target->pid,
			(int)view->target->pid, (int)wait->owner_pid);
		return;
	}
}

static void tell(struct threads *threads, const struct cprof_thread_view *view)
{
	const struct cprof_thread_snapshot *now = &view->now;
	struct cprof_run_log *log = threads->run->log;
	log->counts.deadlocks += now->n_cycles;
	if (threads->snapshot > TOLD_MAX)
		return;
	if (has_frozen(now))
		cprof_run_log_note(log, CPROF_NOTE_FOUND,
				   "process %d is frozen by its cgroup: nothing of it moves until "
				   "that is thawed (cgroup.freeze, freezer.state)",
				   (int)view->target->pid);
	if (now->stops.stops) {
		char text[128];
		cprof_stop_tally_text(&now->stops, text, sizeof(text));
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"%llu threads of %d were stopped, %s: calls with a time limit (epoll_wait, "
			"semtimedop, sigtimedwait, recv) returned EINTR to those that were in them, and "
			"writes may have done less than they were asked to",
			(unsigned long long)now->stopped, (int)view->target->pid, text);
	}
	tell_means(threads, view);
	tell_of_others(threads, view);
	if (now->n_cycles)
		tell_deadlocks(log, now);
}

/* Which process and snapshot the threads below are of, where there are several. */
static void put_title(const struct threads *threads, const struct cprof_thread_view *view,
		      struct cprof_buffer *out)
{
	uint64_t repeat = threads->request->repeat;
	if (threads->n_views < 2 && repeat < 2)
		return;
	cprof_buffer_printf(out, "=== process %d \"%s\"", (int)view->target->pid,
			    view->target->comm);
	if (repeat > 1)
		cprof_buffer_printf(out, ", snapshot %llu of %llu",
				    (unsigned long long)threads->snapshot,
				    (unsigned long long)repeat);
	cprof_buffer_puts(out, " ===\n\n");
}

static struct cprof_error *print(struct threads *threads, struct cprof_thread_view *view)
{
	const struct cprof_threads_request *request = threads->request;
	if (!request->print)
		return NULL;
	const struct cprof_thread_text_options options = {
		.group = request->group,
		.go_words = request->go_words,
	};
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!options.go_words)
		put_title(threads, view, &text);
	struct cprof_error *err =
		cprof_thread_text_write(&view->now, &view->names, &options, &text);
	return err ? err : request->print(request->print_ctx, cprof_buffer_text(&text), text.len);
}

/* ---- all processes ---- */

/* By the name that they have now. */
static void choose(const struct threads *threads, struct cprof_thread_snapshot *now)
{
	for (size_t i = 0; threads->run->threads && i < now->n; i++)
		now->threads[i].left_out = !cprof_thread_choice_has(
			threads->run->threads, now->threads[i].tid, now->threads[i].name);
}

/* A process that ends between two snapshots ends the run; what was seen is still handed out. */
static struct cprof_error *take_all(struct threads *threads, bool first)
{
	threads->snapshot++;
	for (size_t i = 0; i < threads->n_views; i++) {
		struct cprof_thread_view *view = &threads->views[i];
		struct cprof_error *err = cprof_thread_view_snapshot(view);
		choose(threads, &view->now);
		if (!err)
			continue;
		if (first) /* nothing has been seen of it */
			err = without(threads, view, err);
		if (err && (err->code != CPROF_ERR_NO_TARGET || first))
			return err;
		cprof_error_free(err);
		view->now = view->before;
		view->before = (struct cprof_thread_snapshot){ 0 };
	}
	return NULL;
}

static struct cprof_error *hand_out_across(struct threads *threads,
					   const struct cprof_thread_across *across)
{
	const struct cprof_threads_request *request = threads->request;
	struct cprof_run_log *log = threads->run->log;
	CPROF_AUTO(buffer) struct cprof_buffer told = { 0 };
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!across->n)
		return NULL;
	log->counts.deadlocks += across->n;
	cprof_thread_across_tell(across, threads->views, &told);
	if (threads->snapshot <= TOLD_MAX)
		note_lines(log, CPROF_NOTE_FOUND, cprof_buffer_text(&told));
	if (!request->print || request->go_words)
		return NULL;
	struct cprof_error *err = cprof_thread_across_write(across, threads->views, &text);
	return err ? err : request->print(request->print_ctx, cprof_buffer_text(&text), text.len);
}

static struct cprof_error *snapshot_all(struct threads *threads, bool first)
{
	struct cprof_thread_across across = { 0 };
	struct cprof_error *err = take_all(threads, first);
	if (!err)
		err = cprof_thread_across_find(threads->views, threads->n_views, &across);
	if (err && err->code == CPROF_ERR_NO_TARGET && !first) { /* it has ended since */
		cprof_error_free(err);
		err = NULL;
	}
	for (size_t i = 0; !err && i < threads->n_views; i++) {
		if (!threads->views[i].fresh)
			continue;
		tell(threads, &threads->views[i]);
		err = tell_of_untold(threads, &threads->views[i]);
		if (!err)
			err = print(threads, &threads->views[i]);
	}
	if (!err)
		err = hand_out_across(threads, &across);
	cprof_thread_across_deinit(&across);
	return err;
}

/* ---- the profile ---- */

/* Those that are in the profile and have a stack. */
static uint64_t n_sampled(const struct cprof_thread_snapshot *now)
{
	uint64_t n = 0;
	for (size_t i = 0; i < now->n; i++)
		n += !now->threads[i].left_out && now->threads[i].means != CPROF_MEANS_NONE;
	return n;
}

static struct cprof_error *make_profile(struct threads *threads, struct cprof_profile **ret_profile)
{
	struct cprof_run_log *log = threads->run->log;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < threads->n_views; i++) {
		const struct cprof_thread_view *view = &threads->views[i];
		err = cprof_thread_profile_add(threads->session, view->process, &view->now);
		log->counts.samples += n_sampled(&view->now);
		log->counts.threads += view->now.n;
	}
	if (!err)
		err = cprof_session_finish(threads->session, "threads", "count", 1, "threads",
					   ret_profile);
	if (err)
		return err;
	/* How many threads there are is no count per time: with a duration readers would divide by it. */
	(*ret_profile)->duration_ns = 0;
	return NULL;
}

/* ---- a core file ---- */

static void tell_of_core(struct threads *threads, const struct cprof_thread_view *view,
			 const struct cprof_core_maps_files *files)
{
	struct cprof_run_log *log = threads->run->log;
	if (view->core.signal)
		cprof_run_log_note(log, CPROF_NOTE_PLAIN, "thread %d took signal %d (SIG%s)",
				   (int)view->core.threads[0].tid, view->core.signal,
				   sigabbrev_np(view->core.signal) ? sigabbrev_np(view->core.signal)
								   : "?");
	if (view->core.whole_bytes > view->core.n_bytes)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"the core file is cut off, %zu of %llu bytes are there (disk full, ulimit -c?): "
			"stacks and locks may be among the others",
			view->core.n_bytes, (unsigned long long)view->core.whole_bytes);
	if (files->missing)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"%zu mapped files are not here, for example %s: their functions have no names, "
			"and stacks may end there",
			files->missing, files->first_missing);
	if (files->wrong)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"%zu mapped files are others than when the core was written, for example %s, "
			"and are left out (their build-id differs)",
			files->wrong, files->first_wrong);
}

/* pprof takes the first mapping for the program that a profile is of. */
static struct cprof_error *number_main(struct threads *threads, struct cprof_thread_view *view)
{
	const struct cprof_map *map = cprof_maps_main(&view->own.maps);
	struct cprof_session_stack stack;
	return map ? cprof_session_frames(threads->session, view->process, &map->start, 1, &stack)
		   : NULL;
}

static struct cprof_error *snapshot_core(struct threads *threads)
{
	struct cprof_thread_view *view = &threads->views[0];
	struct cprof_core_maps_files files;
	cprof_window_start(threads->run->window);
	struct cprof_error *err =
		cprof_thread_view_open_core(view, threads->session, &threads->symbolizer, &files);
	if (!err)
		tell_of_core(threads, view, &files);
	if (!err)
		err = number_main(threads, view);
	if (!err)
		err = cprof_thread_view_resolve(view);
	if (err)
		return cprof_error_wrap(err, "%s", threads->request->core);
	tell(threads, view);
	err = tell_of_untold(threads, view);
	return err ? err : print(threads, view);
}

/* ---- the run ---- */

static struct cprof_error *watch(struct threads *threads)
{
	struct cprof_window *window = threads->run->window;
	window->length_ns = 0; /* as many snapshots as asked for, however long that takes */
	cprof_window_start(window);
	struct cprof_error *err = snapshot_all(threads, true);
	for (uint64_t i = 1; !err && i < threads->request->repeat; i++) {
		if (!cprof_thread_view_rest(threads->run, threads->request->every_ns))
			break;
		err = snapshot_all(threads, false);
	}
	return err;
}

struct cprof_error *cprof_threads_run(const struct cprof_run *run,
				      const struct cprof_threads_request *request,
				      struct cprof_profile **ret_profile)
{
	struct threads threads = {
		.run = run,
		.request = request,
		.symbolizer = { .way = run->naming.symbolizer,
				.demangle = run->naming.demangle,
				.no_inlines = run->naming.no_inlines,
				.debuginfod = run->naming.debuginfod,
				.cache_dir = run->naming.cache_dir },
	};
	if (run->n_targets && run->targets[0]->launched)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-mode threads looks at a process that runs already"),
			"start the command, then give its process id: -p PID");
	struct cprof_error *err = open_views(&threads);
	if (!err)
		err = request->core ? snapshot_core(&threads) : watch(&threads);
	if (!err && !request->no_profile)
		err = make_profile(&threads, ret_profile);
	threads_deinit(&threads);
	return err;
}
