/*
 * -mode threads: every thread's stack now, whom it waits for, and who waits for each other.
 *
 * Takes a snapshot (thread_capture.h, or a core file), resolves it (thread_resolve.h), looks a second time where threads seem
 * to wait for each other, and hands out text, a profile or both. Does not stop the target unless asked to.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/core_file.h"
#include "attach/core_maps.h"
#include "attach/mode.h"
#include "attach/session.h"
#include "attach/session_names.h"
#include "attach/session_threads.h"
#include "attach/thread_capture.h"
#include "attach/thread_probe.h"
#include "attach/thread_profile.h"
#include "attach/thread_resolve.h"
#include "attach/thread_text.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define DEADLOCK_STATUS  10 /* -exit-code; docs/exit-status.md */
#define STACK_BYTES      (64 * 1024)
#define CORE_STACK_BYTES (8 * 1024 * 1024)
#define RUNNING_NS       (200 * 1000000ull)
#define SECOND_LOOK_NS   (50 * 1000000ull)
#define TOLD_MAX                                                                                   \
	16 /* snapshots that are told of one by one: notes stay, and a watch may last days */
#define SETTLE_NS         (20 * 1000000ull)
#define MEMORY_ANSWERS_NS (1000 * 1000000ull)

/* One process, or core file, and what is known of it. */
struct view {
	struct cprof_target *target; /* borrowed */
	struct cprof_process
		*process; /* the session's; or `own` where there is no process to look into */
	struct cprof_process own;
	struct cprof_thread_capture *capture; /* owned; NULL for a core file */
	struct cprof_core_file core;
	struct cprof_thread_names names;
	struct cprof_thread_resolver resolver;
	struct cprof_thread_snapshot before, now;
	bool mute; /* its memory does not answer: rows only */
};

struct threads {
	const struct cprof_mode_run *run;
	struct cprof_mode_run session_run;     /* the run, with the targets that have memory */
	struct cprof_target **session_targets; /* owned */
	struct cprof_session *session;         /* owned */
	struct cprof_symbolizer_options symbolizer;
	struct view *views; /* owned */
	size_t n_views;
	uint64_t snapshot; /* number of the one being taken, from 1 */
};

/* ---- life ---- */

static void view_deinit(struct view *view)
{
	cprof_thread_snapshot_deinit(&view->before);
	cprof_thread_snapshot_deinit(&view->now);
	cprof_thread_resolver_deinit(&view->resolver);
	cprof_thread_names_deinit(&view->names);
	cprof_thread_capture_free(view->capture);
}

static void threads_deinit(struct threads *threads)
{
	for (size_t i = 0; i < threads->n_views; i++)
		view_deinit(&threads->views[i]);
	cprof_session_free(threads->session);
	for (size_t i = 0; i < threads->n_views; i++) {
		struct cprof_process *own = &threads->views[i].own;
		cprof_session_threads_free(own->threads);
		cprof_maps_deinit(&own->maps);
		free(own->mapping_numbers);
		cprof_core_file_deinit(&threads->views[i].core);
	}
	free(threads->views);
	free(threads->session_targets);
}

/* A process that the session does not know: it has no memory that could be read. */
static struct cprof_error *make_own(struct view *view, struct cprof_memory memory)
{
	struct cprof_process *own = &view->own;
	own->target = view->target;
	own->started = true;
	cprof_target_mem_init(&own->mem, view->target);
	cprof_maps_init(&own->maps, 0, memory);
	/* Never: there is no /proc to read its mappings from. */
	own->refreshed_mono_ns = cprof_clock_mono_ns();
	own->refresh_after_ns = UINT64_MAX;
	own->threads = cprof_session_threads_new();
	view->process = own;
	return own->threads ? NULL : cprof_error_no_memory();
}

static struct cprof_thread_capture_options capture_options(const struct threads *threads,
							   const struct view *view)
{
	const struct cprof_attach_options *options = threads->run->options;
	bool ptrace = strcmp(options->means, "ptrace") == 0;
	return (struct cprof_thread_capture_options){
		.stops = view->mute                      ? CPROF_STOPS_NEVER
			 : ptrace || options->consistent ? CPROF_STOPS_ALL
							 : CPROF_STOPS_LAST,
		.stack_bytes = view->mute ? 0 : STACK_BYTES,
		.no_iter = strcmp(options->means, "proc") == 0,
		.no_perf = view->mute,
		.running_ns = RUNNING_NS,
	};
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
		struct view *view = &threads->views[i];
		if (!view->mute && !threads->run->options->core)
			threads->session_targets[threads->session_run.n_targets++] = view->target;
	}
	return cprof_session_new(&threads->session_run, types, 1, &threads->session);
}

static struct cprof_error *open_names(struct threads *threads, struct view *view,
				      struct cprof_memory memory)
{
	view->resolver = (struct cprof_thread_resolver){
		.session = threads->session,
		.process = view->process,
		.names = &view->names,
		.memory = memory,
		.live = !threads->run->options->core && !view->mute,
	};
	return cprof_thread_names_init(&view->names, &threads->symbolizer,
				       cprof_session_modules(threads->session),
				       &view->process->maps);
}

static bool read_nothing(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx, (void)addr, (void)buf, (void)n;
	return false;
}

static struct cprof_error *open_view(struct threads *threads, struct view *view)
{
	struct cprof_memory memory = { .read = read_nothing };
	struct cprof_error *err = NULL;
	if (view->mute) {
		cprof_report_note(
			threads->run->report, CPROF_NOTE_WARNING,
			"process %d: its memory does not answer, a thread of it hangs in the kernel "
			"holding it; states only, no stacks",
			(int)view->target->pid);
		err = make_own(view, memory);
	} else {
		view->process = cprof_session_process(threads->session, view->target->pid);
		memory = cprof_target_mem_view(&view->process->mem);
	}
	if (!err)
		err = open_names(threads, view, memory);
	const struct cprof_thread_capture_options options = capture_options(threads, view);
	if (!err)
		err = cprof_thread_capture_new(view->target, &options, threads->run->report,
					       &view->capture);
	return err;
}

static bool memory_answers(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	return cprof_thread_probe_answers(path, MEMORY_ANSWERS_NS);
}

static struct cprof_error *open_views(struct threads *threads)
{
	const struct cprof_mode_run *run = threads->run;
	threads->views = calloc(run->n_targets + 1, sizeof(*threads->views));
	if (!threads->views)
		return cprof_error_no_memory();
	for (size_t i = 0; i < run->n_targets; i++) {
		struct view *view = &threads->views[threads->n_views++];
		view->target = run->targets[i];
		view->mute = !run->options->core && !memory_answers(view->target->pid);
	}
	struct cprof_error *err = open_session(threads);
	for (size_t i = 0; !err && !run->options->core && i < threads->n_views; i++)
		err = open_view(threads, &threads->views[i]);
	return err;
}

/* ---- a snapshot ---- */

/* False: the window is over, by Ctrl-C or the targets' end. */
static bool rest(struct threads *threads, uint64_t ns)
{
	uint64_t end_ns = cprof_clock_mono_ns() + ns, now_ns;
	bool open = true;
	while (open && (now_ns = cprof_clock_mono_ns()) < end_ns)
		open = cprof_window_wait(threads->run->window, NULL, 0, end_ns - now_ns,
					 &threads->run->report->counts);
	return open;
}

/* Those that were stopped get back into their waits; that is not a move of theirs. */
static struct cprof_error *let_settle(struct threads *threads, struct view *view)
{
	struct cprof_thread_snapshot settled = { 0 };
	rest(threads, SETTLE_NS);
	struct cprof_error *err = cprof_thread_capture_states(view->capture, &settled);
	if (!err)
		cprof_thread_snapshot_rebase(&view->now, &settled);
	cprof_thread_snapshot_deinit(&settled);
	return err;
}

/* Twice: a cycle counts only if nobody in it has moved since. */
static struct cprof_error *find_deadlocks(struct threads *threads, struct view *view)
{
	struct cprof_lock_cycles cycles = { 0 };
	struct cprof_thread_snapshot later = { 0 };
	struct cprof_error *err = cprof_thread_resolve_cycles(&view->now, &cycles);
	if (err || !cycles.n) {
		cprof_lock_cycles_deinit(&cycles);
		return err;
	}
	if (view->capture && view->now.stops)
		err = let_settle(threads, view);
	if (view->capture && !err) {
		rest(threads, SECOND_LOOK_NS);
		err = cprof_thread_capture_states(view->capture, &later);
	}
	if (!err)
		cprof_thread_resolve_confirm(&view->resolver, &view->now,
					     view->capture ? &later : NULL, &cycles);
	cprof_thread_snapshot_deinit(&later);
	cprof_lock_cycles_deinit(&cycles);
	return err;
}

static struct cprof_error *resolve(struct threads *threads, struct view *view)
{
	struct cprof_error *err = cprof_thread_resolver_ids(&view->resolver, &view->now);
	if (!err)
		err = cprof_thread_resolve(&view->resolver, &view->now);
	if (!err)
		err = find_deadlocks(threads, view);
	return err;
}

static void tell(struct threads *threads, const struct view *view)
{
	const struct cprof_thread_snapshot *now = &view->now;
	struct cprof_report *report = threads->run->report;
	if (now->n_cycles && threads->run->options->deadlock_status)
		*threads->run->exit_status = DEADLOCK_STATUS;
	if (threads->snapshot > TOLD_MAX)
		return;
	if (now->stops)
		cprof_report_note(
			report, CPROF_NOTE_WARNING,
			"%llu threads of %d were stopped, for %.1f ms together: epoll_wait, semop, "
			"sigtimedwait and others returned EINTR to those that were in them",
			(unsigned long long)now->stops, (int)view->target->pid,
			(double)now->longest_stop_ns / 1e6);
	cprof_report_note(
		report, CPROF_NOTE_DETAIL,
		"threads: %zu in %.2f ms; registers by bpf %llu, proc %llu, perf %llu, ptrace %llu, "
		"none %llu; %llu stops",
		now->n, (double)now->capture_ns / 1e6,
		(unsigned long long)now->by_means[CPROF_MEANS_ITER],
		(unsigned long long)now->by_means[CPROF_MEANS_PROC],
		(unsigned long long)now->by_means[CPROF_MEANS_PERF],
		(unsigned long long)now->by_means[CPROF_MEANS_STOP],
		(unsigned long long)now->by_means[CPROF_MEANS_NONE],
		(unsigned long long)now->stops);
	if (!now->n_cycles)
		return;
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_thread_text_deadlocks(now, &text);
	if (text.len)
		text.data[text.len - 1] = 0;
	cprof_report_note(report, CPROF_NOTE_WARNING, "%s", cprof_buffer_text(&text));
}

/* Which process and snapshot the threads below are of, where there are several. */
static void put_title(const struct threads *threads, const struct view *view,
		      struct cprof_buffer *out)
{
	uint64_t repeat = threads->run->options->repeat;
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

static struct cprof_error *print(struct threads *threads, struct view *view)
{
	const struct cprof_mode_run *run = threads->run;
	if (!run->print)
		return NULL;
	const struct cprof_thread_text_options options = {
		.group = run->options->group,
		.go_words = strcmp(run->options->text_format, "goroutines") == 0,
	};
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	if (!options.go_words)
		put_title(threads, view, &text);
	struct cprof_error *err =
		cprof_thread_text_write(&view->now, &view->names, &options, &text);
	return err ? err : run->print(run->print_ctx, cprof_buffer_text(&text), text.len);
}

static struct cprof_error *look(struct threads *threads, struct view *view)
{
	cprof_thread_snapshot_deinit(&view->before);
	view->before = view->now;
	view->now = (struct cprof_thread_snapshot){ 0 };
	struct cprof_error *err = cprof_thread_capture_take(view->capture, &view->now);
	/* Threads come with mappings: stacks and code that were not there when the session began. */
	if (!err && !view->mute)
		err = cprof_session_refresh(threads->session, view->process, 0);
	if (!err)
		err = resolve(threads, view);
	if (err)
		return err;
	cprof_thread_snapshot_mark_stuck(&view->now, &view->before);
	tell(threads, view);
	return print(threads, view);
}

/* A process that ends between two snapshots ends the run; what was seen is still handed out. */
static struct cprof_error *look_at_all(struct threads *threads, bool first)
{
	threads->snapshot++;
	for (size_t i = 0; i < threads->n_views; i++) {
		struct view *view = &threads->views[i];
		struct cprof_error *err = look(threads, view);
		if (err && err->code == CPROF_ERR_NO_TARGET && !first) {
			cprof_error_free(err);
			view->now = view->before;
			view->before = (struct cprof_thread_snapshot){ 0 };
			continue;
		}
		if (err)
			return err;
	}
	return NULL;
}

/* ---- the profile ---- */

static struct cprof_error *make_profile(struct threads *threads, struct cprof_profile **ret_profile)
{
	struct cprof_report *report = threads->run->report;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < threads->n_views; i++) {
		const struct view *view = &threads->views[i];
		err = cprof_thread_profile_add(threads->session, view->process, &view->now);
		report->counts.samples += view->now.n - view->now.by_means[CPROF_MEANS_NONE];
		report->counts.threads += view->now.n;
	}
	return err ? err
		   : cprof_session_finish(threads->session, "threads", "count", 1, "threads",
					  ret_profile);
}

/* ---- a core file ---- */

static void tell_of_core(struct threads *threads, const struct view *view,
			 const struct cprof_core_maps_files *files)
{
	struct cprof_report *report = threads->run->report;
	if (view->core.signal)
		cprof_report_note(report, CPROF_NOTE_PLAIN, "thread %d took signal %d (SIG%s)",
				  (int)view->core.threads[0].tid, view->core.signal,
				  sigabbrev_np(view->core.signal) ? sigabbrev_np(view->core.signal)
								  : "?");
	if (files->missing)
		cprof_report_note(
			report, CPROF_NOTE_WARNING,
			"%zu mapped files are not here, for example %s: their functions have no names, "
			"and stacks may end there",
			files->missing, files->first_missing);
	if (files->wrong)
		cprof_report_note(
			report, CPROF_NOTE_WARNING,
			"%zu mapped files are others than when the core was written, for example %s, "
			"and are left out (their build-id differs)",
			files->wrong, files->first_wrong);
}

static struct cprof_error *open_core(struct threads *threads, struct view *view)
{
	const struct cprof_attach_options *options = threads->run->options;
	struct cprof_core_maps_files files;
	struct cprof_error *err = cprof_core_file_open(options->core, &view->core);
	const struct cprof_memory memory = { .read = cprof_core_file_read, .ctx = &view->core };
	if (!err)
		err = make_own(view, memory);
	if (!err)
		err = cprof_core_maps_fill(&view->core, options->exe,
					   cprof_session_modules(threads->session), &view->own.maps,
					   &files);
	if (!err)
		err = open_names(threads, view, memory);
	if (!err)
		err = cprof_core_file_snapshot(&view->core, CORE_STACK_BYTES, &view->now);
	if (!err)
		tell_of_core(threads, view, &files);
	return err;
}

/* pprof takes the first mapping for the program that a profile is of. */
static struct cprof_error *number_main(struct threads *threads, struct view *view)
{
	const struct cprof_map *map = cprof_maps_main(&view->own.maps);
	struct cprof_session_stack stack;
	return map ? cprof_session_frames(threads->session, view->process, &map->start, 1, &stack)
		   : NULL;
}

static struct cprof_error *look_at_core(struct threads *threads)
{
	struct view *view = &threads->views[0];
	cprof_window_start(threads->run->window);
	struct cprof_error *err = open_core(threads, view);
	if (!err)
		err = number_main(threads, view);
	if (!err)
		err = resolve(threads, view);
	if (err)
		return cprof_error_wrap(err, "%s", threads->run->options->core);
	tell(threads, view);
	return print(threads, view);
}

/* ---- the run ---- */

static struct cprof_error *watch(struct threads *threads)
{
	const struct cprof_attach_options *options = threads->run->options;
	struct cprof_window *window = threads->run->window;
	window->length_ns = 0; /* as many snapshots as asked for, however long that takes */
	cprof_window_start(window);
	struct cprof_error *err = look_at_all(threads, true);
	for (uint64_t i = 1; !err && i < options->repeat; i++) {
		if (!rest(threads, options->every_ns))
			break;
		err = look_at_all(threads, false);
	}
	return err;
}

static struct cprof_error *threads_run(const struct cprof_mode_run *run,
				       struct cprof_profile **ret_profile)
{
	struct threads threads = {
		.run = run,
		.symbolizer = { .demangle = cprof_session_names_demangle(run->options->demangle),
				.no_inlines = run->options->no_inlines,
				.debuginfod = run->options->debuginfod },
	};
	if (run->options->command.len)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_USAGE,
					"-mode threads looks at a process that runs already"),
			"start the command, then give its process id: -p PID");
	struct cprof_error *err = open_views(&threads);
	if (!err)
		err = run->options->core ? look_at_core(&threads) : watch(&threads);
	if (!err && !run->no_profile)
		err = make_profile(&threads, ret_profile);
	threads_deinit(&threads);
	return err;
}

const struct cprof_mode cprof_mode_threads = {
	.name = "threads",
	.summary = "every thread's stack now, without stopping it; deadlocks",
	.instant = true,
	.has_text = true,
	.run = threads_run,
};
