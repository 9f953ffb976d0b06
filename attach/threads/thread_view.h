/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_view.h - one process that -mode threads looks at, or one core file: its snapshots, resolved.
 *
 * Owns what lasts from one snapshot to the next: the way to read the threads (thread_capture.h, or a core file), names,
 * the snapshot before. Where threads seem to wait for each other it reads their states a second time, and before each
 * snapshot it sees whether the memory answers (thread_probe.h). What is told, printed and written of it is threads_run.c's.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_VIEW_H
#define CPROF_ATTACH_THREADS_THREAD_VIEW_H

#include "attach/run/session.h"
#include "attach/threads/core_file.h"
#include "attach/threads/core_maps.h"
#include "attach/threads/thread_capture.h"
#include "attach/threads/thread_resolve.h"
#include "attach/threads/threads_request.h"

struct cprof_thread_view {
	const struct cprof_run *run;                 /* borrowed */
	const struct cprof_threads_request *request; /* borrowed */
	struct cprof_target *target;                 /* borrowed */
	struct cprof_session *session;               /* borrowed */
	struct cprof_process
		*process; /* the session's; or `own` where there is none to look into */
	struct cprof_process own;
	struct cprof_thread_capture *capture; /* owned; NULL for a core file */
	struct cprof_core_file core;
	struct cprof_thread_names names;
	struct cprof_thread_resolver resolver;
	struct cprof_thread_snapshot before, now;
	bool fresh; /* `now` is of the present round: the process has not ended meanwhile */
	bool mute;  /* its memory does not answer: rows only */
	bool told_of_untold; /* threads_run.c's: locks were told of that do not say who holds them */
};

/* See whether the memory of `target` answers; the session takes only targets whose does. */
void cprof_thread_view_init(struct cprof_thread_view *view, const struct cprof_run *run,
			    const struct cprof_threads_request *request,
			    struct cprof_target *target);

/* Make ready to take snapshots; `session` knows the target unless the view is mute. Errors: as thread_capture.h's. */
struct cprof_error *cprof_thread_view_open(struct cprof_thread_view *view,
					   struct cprof_session *session,
					   const struct cprof_symbolizer_options *symbolizer);

/* The same for a core file, with its one snapshot taken. `*ret_files` says which mapped files were found. */
struct cprof_error *cprof_thread_view_open_core(struct cprof_thread_view *view,
						struct cprof_session *session,
						const struct cprof_symbolizer_options *symbolizer,
						struct cprof_core_maps_files *ret_files);

/*
 * The first is called before the session's end, because names belong to the session; the second after it, because the
 * session uses the mappings up to its end.
 */
void cprof_thread_view_close(struct cprof_thread_view *view);
void cprof_thread_view_deinit(struct cprof_thread_view *view);

/* A new snapshot in view->now, resolved, the older one in view->before. NO_TARGET once the process has ended. */
struct cprof_error *cprof_thread_view_snapshot(struct cprof_thread_view *view);

/* Stacks, waits, owners and confirmed deadlocks of view->now. */
struct cprof_error *cprof_thread_view_resolve(struct cprof_thread_view *view);

/*
 * For a second look at cycles: first those that were stopped for `now` get back into their waits, which is no move of theirs;
 * then time passes; then the states are read once more (thread_capture.h). What stays open is noted.
 */
struct cprof_error *cprof_thread_view_settle(struct cprof_thread_view *view);
void cprof_thread_view_pause(const struct cprof_thread_view *view);
struct cprof_error *cprof_thread_view_look_again(struct cprof_thread_view *view,
						 struct cprof_thread_snapshot *ret_later);

/* False: the window is over, by Ctrl-C or the targets' end. */
bool cprof_thread_view_rest(const struct cprof_run *run, uint64_t ns);

#endif
