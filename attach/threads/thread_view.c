/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attach/target/thread_probe.h"
#include "attach/threads/core_snapshot.h"
#include "base/clock.h"

#define STACK_BYTES       (64 * 1024)
#define CORE_STACK_BYTES  (8 * 1024 * 1024)
#define RUNNING_NS        (200 * 1000000ull)
#define SECOND_LOOK_NS    (50 * 1000000ull)
#define SETTLE_NS         (20 * 1000000ull)
#define MEMORY_ANSWERS_NS (1000 * 1000000ull)

/* ---- life ---- */

static bool memory_answers(const struct cprof_target *target)
{
	char dir[64];
	snprintf(dir, sizeof(dir), "/proc/%d/task/%d", (int)target->pid,
		 (int)cprof_target_living_tid(target));
	return cprof_thread_probe_answers(dir, MEMORY_ANSWERS_NS);
}

static void tell_mute(const struct cprof_thread_view *view)
{
	cprof_run_log_note(
		view->run->log, CPROF_NOTE_WARNING,
		"process %d: its memory does not answer, a thread of it hangs in the kernel "
		"holding it; states only, no stacks",
		(int)view->target->pid);
}

void cprof_thread_view_init(struct cprof_thread_view *view, const struct cprof_run *run,
			    const struct cprof_threads_request *request,
			    struct cprof_target *target)
{
	*view = (struct cprof_thread_view){ .run = run, .request = request, .target = target };
	view->mute = !request->core && !memory_answers(target);
	if (view->mute)
		tell_mute(view);
}

/* A process that the session does not know: it has no memory that could be read. */
static struct cprof_error *make_own(struct cprof_thread_view *view, struct cprof_memory memory)
{
	view->process = &view->own;
	return cprof_process_open_unseen(&view->own, view->target, memory);
}

static struct cprof_thread_capture_options capture_options(const struct cprof_thread_view *view)
{
	const struct cprof_threads_request *request = view->request;
	const bool any = strcmp(request->means, "auto") == 0;
	const bool bpf = strcmp(request->means, "bpf") == 0;
	const bool ptrace = strcmp(request->means, "ptrace") == 0;
	return (struct cprof_thread_capture_options){
		.stops = view->mute                      ? CPROF_STOPS_NEVER
			 : ptrace || request->consistent ? CPROF_STOPS_ALL
			 : any                           ? CPROF_STOPS_LAST
							 : CPROF_STOPS_NEVER,
		.cache_dir = view->run->naming.cache_dir,
		.stack_bytes = view->mute ? 0 : STACK_BYTES,
		.by = any   ? CPROF_OBSERVER_ANY
		      : bpf ? CPROF_OBSERVER_ITER
			    : CPROF_OBSERVER_PROC,
		.no_perf = view->mute || ptrace,
		.stops_only = ptrace && !view->mute,
		.running_ns = RUNNING_NS,
	};
}

static bool read_nothing(void *ctx, uint64_t addr, void *buf, size_t n)
{
	(void)ctx, (void)addr, (void)buf, (void)n;
	return false;
}

static struct cprof_memory memory_of(const struct cprof_thread_view *view)
{
	return view->mute ? (struct cprof_memory){ .read = read_nothing }
			  : cprof_target_mem_view(&view->process->mem);
}

static struct cprof_error *open_names(struct cprof_thread_view *view, struct cprof_memory memory,
				      const struct cprof_symbolizer_options *symbolizer)
{
	view->resolver = (struct cprof_thread_resolver){
		.session = view->session,
		.process = view->process,
		.names = &view->names,
		.memory = memory,
		.live = !view->request->core && !view->mute,
	};
	return cprof_thread_names_init(&view->names, symbolizer,
				       cprof_session_modules(view->session), &view->process->maps);
}

struct cprof_error *cprof_thread_view_open(struct cprof_thread_view *view,
					   struct cprof_session *session,
					   const struct cprof_symbolizer_options *symbolizer)
{
	struct cprof_error *err = NULL;
	view->session = session;
	if (view->mute)
		err = make_own(view, (struct cprof_memory){ .read = read_nothing });
	else
		view->process = cprof_session_process(session, view->target->pid);
	if (!err)
		err = open_names(view, memory_of(view), symbolizer);
	const struct cprof_thread_capture_options options = capture_options(view);
	return err ? err
		   : cprof_thread_capture_new(view->target, &options, view->run->log,
					      &view->capture);
}

struct cprof_error *cprof_thread_view_open_core(struct cprof_thread_view *view,
						struct cprof_session *session,
						const struct cprof_symbolizer_options *symbolizer,
						struct cprof_core_maps_files *ret_files)
{
	view->session = session;
	struct cprof_error *err = cprof_core_file_open(view->request->core, &view->core);
	const struct cprof_memory memory = { .read = cprof_core_file_read, .ctx = &view->core };
	if (!err)
		err = make_own(view, memory);
	if (!err)
		err = cprof_core_maps_fill(&view->core, view->request->exe,
					   cprof_session_modules(session), &view->own.maps,
					   ret_files);
	if (!err)
		err = open_names(view, memory, symbolizer);
	if (!err)
		err = cprof_core_snapshot_make(&view->core, CORE_STACK_BYTES, &view->now);
	return err;
}

void cprof_thread_view_close(struct cprof_thread_view *view)
{
	cprof_thread_snapshot_deinit(&view->before);
	cprof_thread_snapshot_deinit(&view->now);
	cprof_thread_resolver_deinit(&view->resolver);
	cprof_thread_names_deinit(&view->names);
	cprof_thread_capture_free(view->capture);
	view->capture = NULL;
}

void cprof_thread_view_deinit(struct cprof_thread_view *view)
{
	cprof_process_close(&view->own);
	cprof_core_file_deinit(&view->core);
}

/* ---- a snapshot ---- */

bool cprof_thread_view_rest(const struct cprof_run *run, uint64_t ns)
{
	uint64_t end_ns = cprof_clock_mono_ns() + ns, now_ns;
	bool open = true;
	while (open && (now_ns = cprof_clock_mono_ns()) < end_ns)
		open = cprof_window_wait(run->window, NULL, 0, end_ns - now_ns, &run->log->counts);
	return open;
}

struct cprof_error *cprof_thread_view_settle(struct cprof_thread_view *view)
{
	struct cprof_thread_snapshot settled = { 0 };
	if (!view->capture || !view->now.stopped)
		return NULL;
	cprof_thread_view_rest(view->run, SETTLE_NS);
	struct cprof_error *err = cprof_thread_capture_states(view->capture, &settled);
	if (!err)
		cprof_thread_snapshot_rebase(&view->now, &settled);
	cprof_thread_snapshot_deinit(&settled);
	return err;
}

void cprof_thread_view_pause(const struct cprof_thread_view *view)
{
	cprof_thread_view_rest(view->run, SECOND_LOOK_NS);
}

/* Some thread that waits for another one, and of which the second look does not tell whether it still does. */
static bool leaves_open(const struct cprof_thread_snapshot *now,
			const struct cprof_thread_snapshot *later)
{
	for (size_t i = 0; i < now->n; i++) {
		if (now->threads[i].owner == SIZE_MAX)
			continue;
		size_t at = cprof_thread_snapshot_find(later, now->threads[i].tid);
		if (at != SIZE_MAX && cprof_thread_observer_has_stack(later->threads[at].state) &&
		    (later->threads[at].call.kind == CPROF_CALL_UNKNOWN ||
		     !later->threads[at].switches))
			return true;
	}
	return false;
}

struct cprof_error *cprof_thread_view_look_again(struct cprof_thread_view *view,
						 struct cprof_thread_snapshot *ret_later)
{
	struct cprof_error *err = cprof_thread_capture_again(view->capture, ret_later);
	if (err)
		return err;
	cprof_stop_tally_join(&view->now.stops, &ret_later->stops);
	if (leaves_open(&view->now, ret_later))
		cprof_run_log_note(
			view->run->log, CPROF_NOTE_WARNING,
			"threads of %d seem to wait for each other; whether they do for good cannot be "
			"confirmed, since it is not told here in which call they are, or whether they "
			"have run: look again as root",
			(int)view->target->pid);
	return NULL;
}

/* Twice: a cycle counts only if nobody in it has moved since. */
static struct cprof_error *find_deadlocks(struct cprof_thread_view *view)
{
	struct cprof_lock_cycles cycles = { 0 };
	struct cprof_thread_snapshot later = { 0 };
	struct cprof_error *err = cprof_thread_resolve_cycles(&view->now, &cycles);
	if (err || !cycles.n) {
		cprof_lock_cycles_deinit(&cycles);
		return err;
	}
	err = cprof_thread_view_settle(view);
	if (view->capture && !err) {
		cprof_thread_view_pause(view);
		err = cprof_thread_view_look_again(view, &later);
	}
	if (!err)
		cprof_thread_resolve_confirm(&view->resolver, &view->now,
					     view->capture ? &later : NULL, &cycles);
	cprof_thread_snapshot_deinit(&later);
	cprof_lock_cycles_deinit(&cycles);
	return err;
}

struct cprof_error *cprof_thread_view_resolve(struct cprof_thread_view *view)
{
	struct cprof_error *err = cprof_thread_resolver_ids(&view->resolver, &view->now);
	if (!err)
		err = cprof_thread_resolve(&view->resolver, &view->now);
	return err ? err : find_deadlocks(view);
}

/* A thread may have begun to hang since the snapshot before, or have come back. */
static void listen(struct cprof_thread_view *view)
{
	bool mute = !memory_answers(view->target);
	if (mute == view->mute || view->process == &view->own)
		return;
	view->mute = mute;
	view->resolver.live = !mute;
	view->resolver.memory = memory_of(view);
	const struct cprof_thread_capture_options options = capture_options(view);
	cprof_thread_capture_set_options(view->capture, &options);
	if (mute)
		tell_mute(view);
}

struct cprof_error *cprof_thread_view_snapshot(struct cprof_thread_view *view)
{
	bool first = !view->before.n && !view->now.n;
	view->fresh = false;
	cprof_thread_snapshot_deinit(&view->before);
	view->before = view->now;
	view->now = (struct cprof_thread_snapshot){ 0 };
	if (!first)
		listen(view);
	struct cprof_error *err = cprof_thread_capture_take(view->capture, &view->now);
	/* Threads come with mappings: stacks and code that were not there when the session began. */
	if (!err && !view->mute)
		err = cprof_process_refresh(view->process, 0);
	if (!err)
		err = cprof_thread_view_resolve(view);
	if (!err)
		cprof_thread_snapshot_mark_stuck(&view->now, &view->before);
	view->fresh = !err;
	return err;
}
