/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_capture.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "attach/threads/thread_clock.h"
#include "attach/threads/thread_copy.h"
#include "attach/threads/thread_freeze.h"
#include "attach/threads/thread_running.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* How often all are stopped anew where threads were born meanwhile. */
#define FREEZES_MAX 4

struct cprof_thread_capture {
	struct cprof_target *target; /* borrowed */
	struct cprof_run_log *log;   /* borrowed */
	struct cprof_thread_capture_options options;
	struct cprof_thread_observer observer;
	int perf_fd;       /* keeps perf warm; -1: none */
	bool told_denied;  /* that threads may not be stopped */
	bool told_refused; /* that /proc does not tell where threads sleep */
};

struct cprof_error *cprof_thread_capture_new(struct cprof_target *target,
					     const struct cprof_thread_capture_options *options,
					     struct cprof_run_log *log,
					     struct cprof_thread_capture **ret_capture)
{
	struct cprof_thread_capture *capture = calloc(1, sizeof(*capture));
	if (!capture)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_thread_observer_open(
		target, options->by, options->cache_dir, log, &capture->observer);
	if (err) {
		free(capture);
		return err;
	}
	capture->target = target;
	capture->log = log;
	capture->options = *options;
	capture->perf_fd = options->no_perf ? -1 : cprof_thread_running_prepare();
	*ret_capture = capture;
	return NULL;
}

void cprof_thread_capture_set_options(struct cprof_thread_capture *capture,
				      const struct cprof_thread_capture_options *options)
{
	capture->options = *options;
}

void cprof_thread_capture_free(struct cprof_thread_capture *capture)
{
	if (!capture)
		return;
	cprof_thread_observer_close(&capture->observer);
	if (capture->perf_fd >= 0)
		close(capture->perf_fd);
	free(capture);
}

struct cprof_error *cprof_thread_capture_states(struct cprof_thread_capture *capture,
						struct cprof_thread_snapshot *ret_snapshot)
{
	struct cprof_thread_snapshot snapshot = { 0 };
	struct cprof_error *err = cprof_thread_observer_take(&capture->observer, &snapshot);
	if (err)
		cprof_thread_snapshot_deinit(&snapshot);
	else
		*ret_snapshot = snapshot;
	return err;
}

/* ---- the other means ---- */

/* Threads that have a stack but whose registers we do not have. `*ret_list` is malloc'ed. */
static struct cprof_error *unreached(const struct cprof_thread_snapshot *snapshot, bool everybody,
				     struct cprof_thread ***ret_list, size_t *ret_n)
{
	size_t n = 0;
	struct cprof_thread **list = calloc(snapshot->n ? snapshot->n : 1, sizeof(*list));
	if (!list)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (cprof_thread_observer_has_stack(thread->state) &&
		    (everybody || thread->means == CPROF_MEANS_NONE))
			list[n++] = thread;
	}
	*ret_list = list;
	*ret_n = n;
	return NULL;
}

static struct cprof_error *sample_running(struct cprof_thread_capture *capture,
					  struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) struct cprof_thread **list = NULL;
	size_t n = 0;
	struct cprof_error *err = unreached(snapshot, false, &list, &n);
	if (err || n == 0 || capture->options.no_perf)
		return err;
	err = cprof_thread_running_sample(list, n, capture->options.running_ns);
	if (!err)
		return NULL;
	cprof_run_log_note(capture->log, CPROF_NOTE_DETAIL, "threads: running threads: %s",
			   err->message);
	cprof_error_free(err);
	return NULL;
}

static bool lacks_some(const struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		if (cprof_thread_observer_has_stack(snapshot->threads[i].state) &&
		    snapshot->threads[i].means == CPROF_MEANS_NONE)
			return true;
	}
	return false;
}

static struct cprof_error *freeze(struct cprof_thread_capture *capture,
				  struct cprof_thread_snapshot *snapshot, bool everybody,
				  size_t *ret_born)
{
	CPROF_AUTO(free) struct cprof_thread **list = NULL;
	size_t n = 0;
	*ret_born = 0;
	struct cprof_error *err = unreached(snapshot, everybody, &list, &n);
	if (err || n == 0)
		return err;
	struct cprof_thread_freeze freeze = {
		.target = capture->target,
		.threads = list,
		.n = n,
		.everybody = everybody,
		.stack_bytes = capture->options.stack_bytes,
	};
	err = cprof_thread_freeze_take(&freeze);
	*ret_born = freeze.born;
	snapshot->stopped += freeze.stopped;
	cprof_stop_tally_join(&snapshot->stops, &freeze.stops);
	return err;
}

static bool reached_some(const struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		if (snapshot->threads[i].means != CPROF_MEANS_NONE)
			return true;
	}
	return false;
}

/* The last resort. Where it is not permitted (seccomp, Yama, a debugger) those that were reached are still told of. */
static struct cprof_error *freeze_the_rest(struct cprof_thread_capture *capture,
					   struct cprof_thread_snapshot *snapshot)
{
	size_t born;
	struct cprof_error *err = freeze(capture, snapshot, false, &born);
	if (!err || err->code != CPROF_ERR_DENIED || !reached_some(snapshot))
		return err;
	if (!capture->told_denied)
		cprof_run_log_note(capture->log, CPROF_NOTE_WARNING,
				   "threads without a stack: %s%s%s", err->message,
				   err->hint ? "; " : "", err->hint ? err->hint : "");
	capture->told_denied = true;
	cprof_error_free(err);
	return NULL;
}

/* Nobody may be born between the list and the stop. */
static struct cprof_error *freeze_everybody(struct cprof_thread_capture *capture,
					    struct cprof_thread_snapshot *snapshot)
{
	size_t born = 0;
	for (int round = 0; round < FREEZES_MAX; round++) {
		struct cprof_error *err = freeze(capture, snapshot, true, &born);
		if (err || !born)
			return err;
		struct cprof_thread_snapshot again = { .stopped = snapshot->stopped,
						       .stops = snapshot->stops };
		err = cprof_thread_observer_take(&capture->observer, &again);
		cprof_thread_snapshot_deinit(snapshot);
		*snapshot = again;
		if (err)
			return err;
	}
	cprof_run_log_note(
		capture->log, CPROF_NOTE_WARNING,
		"threads: %d begins new threads faster than they can be stopped; the snapshot is "
		"not of one moment",
		(int)capture->target->pid);
	return cprof_thread_copy_stacks(&capture->observer, capture->options.stack_bytes, snapshot);
}

/* Where in the kernel it is, where that says more than its system call does. A read costs 10 us, so not of everybody. */
static void read_wchan(const struct cprof_thread_capture *capture, size_t at,
		       struct cprof_thread *thread)
{
	static const struct timespec moment = { .tv_nsec = 2000000 };
	bool asleep = thread->state == 'S' && (at == 0 || thread->call.kind == CPROF_CALL_OUTSIDE);
	if (thread->state != 'D' && !asleep)
		return;
	/* One that we have just let go needs a moment to be back where its cgroup keeps it frozen. */
	unsigned tries = at == 0 && thread->means == CPROF_MEANS_STOP ? 6 : 1;
	do {
		cprof_thread_observer_read(&capture->observer, thread->tid, "wchan", thread->wchan,
					   sizeof(thread->wchan));
	} while (--tries && !cprof_thread_is_frozen(thread) && nanosleep(&moment, NULL) == 0);
	if (asleep && !cprof_thread_is_frozen(thread))
		*thread->wchan = 0;
}

/* Why a thread that was not reached was not, as far as its state tells. */
static void explain(const struct cprof_thread_capture *capture,
		    struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		snapshot->by_means[thread->means]++;
		read_wchan(capture, i, thread);
		if (thread->means != CPROF_MEANS_NONE || thread->why)
			continue;
		if (thread->state == 'Z')
			thread->why = "it has ended, others of the process go on";
		else if (!cprof_thread_observer_has_stack(thread->state))
			thread->why = "it has ended";
		else
			thread->why = capture->options.no_perf
					      ? "it runs, which this way of looking does not show"
					      : "it runs, and no sample of it came in time";
	}
}

/* Asked for stops and nothing else: what was seen before them is not shown. */
static void forget_unstopped(struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (thread->means == CPROF_MEANS_STOP || thread->means == CPROF_MEANS_NONE)
			continue;
		thread->means = CPROF_MEANS_NONE;
		thread->n_stack = 0;
		thread->call = (struct cprof_thread_call){ .kind = CPROF_CALL_UNKNOWN, .nr = -1 };
	}
}

/* Threads that have no stack because /proc was shut: the rows say so as well, but a profile has no such rows to be seen. */
static void tell_refused(struct cprof_thread_capture *capture,
			 const struct cprof_thread_snapshot *snapshot)
{
	size_t n = 0;
	for (size_t i = 0; i < snapshot->n; i++)
		n += snapshot->threads[i].means == CPROF_MEANS_NONE &&
		     cprof_thread_observer_has_stack(snapshot->threads[i].state);
	if (!n || !capture->observer.n_refused || capture->told_denied || capture->told_refused)
		return;
	cprof_run_log_note(
		capture->log, CPROF_NOTE_WARNING,
		"%zu threads of %d have no stack: /proc/%d/task/TID/syscall is refused; "
		"CAP_DAC_READ_SEARCH opens it, CAP_BPF and CAP_PERFMON do without; or run as root",
		n, (int)capture->target->pid, (int)capture->target->pid);
	capture->told_refused = true;
}

static struct cprof_error *take(struct cprof_thread_capture *capture,
				struct cprof_thread_snapshot *snapshot)
{
	struct cprof_error *err = cprof_thread_observer_take(&capture->observer, snapshot);
	if (err)
		return err;
	if (capture->options.stops == CPROF_STOPS_ALL)
		return freeze_everybody(capture, snapshot);
	err = cprof_thread_copy_stacks(&capture->observer, capture->options.stack_bytes, snapshot);
	if (!err)
		err = sample_running(capture, snapshot);
	if (!err && lacks_some(snapshot))
		err = cprof_thread_copy_newly_asleep(&capture->observer,
						     capture->options.stack_bytes, snapshot);
	if (!err && capture->options.stops == CPROF_STOPS_LAST)
		err = freeze_the_rest(capture, snapshot);
	return err;
}

struct cprof_error *cprof_thread_capture_take(struct cprof_thread_capture *capture,
					      struct cprof_thread_snapshot *ret_snapshot)
{
	struct cprof_thread_snapshot snapshot = { 0 };
	uint64_t start_ns = cprof_clock_mono_ns();
	struct cprof_error *err = take(capture, &snapshot);
	if (!err && capture->options.stops_only)
		forget_unstopped(&snapshot);
	if (err) {
		cprof_thread_snapshot_deinit(&snapshot);
		return cprof_error_wrap(err, "threads of %d", (int)capture->target->pid);
	}
	if (capture->options.stack_bytes)
		tell_refused(capture, &snapshot);
	explain(capture, &snapshot);
	const uint64_t end_ns = cprof_clock_mono_ns();
	snapshot.capture_ns = end_ns - start_ns;
	cprof_thread_clock_fill(&snapshot, end_ns);
	*ret_snapshot = snapshot;
	return NULL;
}

/* Whose call nobody has told. */
static bool lacks_calls(const struct cprof_thread_snapshot *snapshot)
{
	for (size_t i = 0; i < snapshot->n; i++) {
		if (cprof_thread_observer_has_stack(snapshot->threads[i].state) &&
		    snapshot->threads[i].call.kind == CPROF_CALL_UNKNOWN)
			return true;
	}
	return false;
}

struct cprof_error *cprof_thread_capture_again(struct cprof_thread_capture *capture,
					       struct cprof_thread_snapshot *ret_snapshot)
{
	size_t born;
	struct cprof_error *err = cprof_thread_capture_states(capture, ret_snapshot);
	if (err || capture->options.stops == CPROF_STOPS_NEVER || !lacks_calls(ret_snapshot))
		return err;
	err = freeze(capture, ret_snapshot, false, &born);
	if (err && err->code == CPROF_ERR_DENIED) {
		cprof_error_free(err); /* their calls stay unknown, which the caller sees */
		err = NULL;
	}
	if (err)
		cprof_thread_snapshot_deinit(ret_snapshot);
	return err;
}
