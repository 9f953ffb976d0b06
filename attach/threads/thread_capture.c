#include "attach/threads/thread_capture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "attach/target/target_mem.h"
#include "attach/threads/thread_freeze.h"
#include "attach/threads/thread_observer.h"
#include "attach/threads/thread_running.h"
#include "base/cleanup.h"
#include "base/clock.h"

/* How often a thread that has moved while it was read is read again. */
#define ROUNDS_MAX 4

struct cprof_thread_capture {
	struct cprof_target *target; /* borrowed */
	struct cprof_run_log *log;   /* borrowed */
	struct cprof_thread_capture_options options;
	struct cprof_thread_observer observer;
	int perf_fd;      /* keeps perf warm; -1: none */
	bool told_denied; /* that threads may not be stopped */
};

struct cprof_error *cprof_thread_capture_new(struct cprof_target *target,
					     const struct cprof_thread_capture_options *options,
					     struct cprof_run_log *log,
					     struct cprof_thread_capture **ret_capture)
{
	struct cprof_thread_capture *capture = calloc(1, sizeof(*capture));
	if (!capture)
		return cprof_error_no_memory();
	struct cprof_error *err =
		cprof_thread_observer_open(target, options->no_iter, log, &capture->observer);
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

/* ---- stacks ---- */

/* Copies into a buffer of its own size, since most stacks are short. */
static struct cprof_error *take_stack(const struct cprof_thread_capture *capture, pid_t reader,
				      uint8_t *scratch, struct cprof_thread *thread)
{
	const struct cprof_arch *arch = cprof_arch_host();
	if (capture->options.stack_bytes == 0) {
		thread->why = "the memory of the process does not answer";
		return NULL;
	}
	uint64_t sp = thread->regs.r[arch->sp] - arch->red_zone_bytes;
	size_t n = cprof_target_mem_copy_by(reader, sp, scratch, capture->options.stack_bytes);
	free(thread->stack);
	thread->stack = NULL;
	thread->stack_addr = sp;
	thread->n_stack = 0;
	if (n == 0) {
		thread->why = "its stack cannot be read";
		return NULL;
	}
	thread->stack = malloc(n);
	if (!thread->stack)
		return cprof_error_no_memory();
	memcpy(thread->stack, scratch, n);
	thread->n_stack = n;
	return NULL;
}

static bool still_there(const struct cprof_thread *before, const struct cprof_thread *now)
{
	return now->means != CPROF_MEANS_NONE && before->start == now->start &&
	       before->switches == now->switches && before->regs.pc == now->regs.pc &&
	       memcmp(before->regs.r, now->regs.r, sizeof(now->regs.r)) == 0;
}

/* Put the newer look at a thread in place of the older one, which gives up its stack. */
static void replace(struct cprof_thread *old, const struct cprof_thread *now)
{
	uint8_t *stack = old->stack;
	*old = *now;
	free(stack);
	old->stack = NULL;
	old->n_stack = 0;
}

/* Look at the pending threads once more. Those that have not moved are done; the others begin anew. */
static struct cprof_error *confirm_by_iter(struct cprof_thread_capture *capture,
					   struct cprof_thread_snapshot *snapshot, bool *pending,
					   size_t *n_pending)
{
	struct cprof_thread_snapshot now = { 0 };
	struct cprof_error *err = cprof_thread_observer_take(&capture->observer, &now);
	if (err) {
		cprof_thread_snapshot_deinit(&now);
		return err;
	}
	for (size_t i = 0; i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		if (!pending[i])
			continue;
		size_t at = cprof_thread_snapshot_find(&now, thread->tid);
		if (at == SIZE_MAX) {
			thread->state = 'X';
			thread->means = CPROF_MEANS_NONE;
			thread->why = "it has ended";
			pending[i] = false;
		} else if (still_there(thread, &now.threads[at])) {
			pending[i] = false;
		} else {
			replace(thread, &now.threads[at]);
			pending[i] = thread->means != CPROF_MEANS_NONE;
		}
		*n_pending += pending[i];
	}
	cprof_thread_snapshot_deinit(&now);
	return NULL;
}

static void confirm_by_proc(struct cprof_thread_capture *capture, struct cprof_thread *thread,
			    uint64_t now_ns, bool *pending)
{
	if (cprof_thread_observer_keeps_still(&capture->observer, thread, now_ns)) {
		*pending = false;
		return;
	}
	struct cprof_thread now = { 0 };
	cprof_thread_observer_fill(&capture->observer, thread->tid, now_ns, &now);
	replace(thread, &now);
	*pending = thread->means != CPROF_MEANS_NONE;
}

/* One round: copy the stack of every pending thread, then see which of them have kept still. */
static struct cprof_error *copy_round(struct cprof_thread_capture *capture,
				      struct cprof_thread_snapshot *snapshot, bool *pending,
				      uint8_t *scratch, size_t *ret_pending)
{
	pid_t reader = cprof_target_living_tid(capture->target);
	uint64_t now_ns = capture->observer.iter ? 0 : cprof_thread_observer_clock_ns();
	*ret_pending = 0;
	for (size_t i = 0; i < snapshot->n; i++) {
		if (!pending[i])
			continue;
		struct cprof_error *err =
			take_stack(capture, reader, scratch, &snapshot->threads[i]);
		if (err)
			return err;
		/* By /proc each thread is asked by itself: right away, while it is still likely to be there. */
		if (!capture->observer.iter) {
			confirm_by_proc(capture, &snapshot->threads[i], now_ns, &pending[i]);
			*ret_pending += pending[i];
		}
	}
	return capture->observer.iter ? confirm_by_iter(capture, snapshot, pending, ret_pending)
				      : NULL;
}

static struct cprof_error *copy_stacks(struct cprof_thread_capture *capture,
				       struct cprof_thread_snapshot *snapshot)
{
	CPROF_AUTO(free) bool *pending = calloc(snapshot->n ? snapshot->n : 1, sizeof(*pending));
	CPROF_AUTO(free) uint8_t *scratch = malloc(capture->options.stack_bytes + 1);
	size_t n_pending = 0;
	if (!pending || !scratch)
		return cprof_error_no_memory();
	for (size_t i = 0; i < snapshot->n; i++) {
		const struct cprof_thread *thread = &snapshot->threads[i];
		pending[i] = thread->means != CPROF_MEANS_NONE && !thread->n_stack;
		n_pending += pending[i];
	}
	for (int round = 0; n_pending && round < ROUNDS_MAX; round++) {
		struct cprof_error *err =
			copy_round(capture, snapshot, pending, scratch, &n_pending);
		if (err)
			return err;
	}
	for (size_t i = 0; i < snapshot->n; i++) {
		if (pending[i]) /* it runs and sleeps all the time: as good as running */
			snapshot->threads[i].means = CPROF_MEANS_NONE;
	}
	return NULL;
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

/* A thread that ran when it was looked at and slept when a sample of it was waited for. */
static struct cprof_error *look_again(struct cprof_thread_capture *capture,
				      struct cprof_thread_snapshot *snapshot)
{
	struct cprof_thread_snapshot now = { 0 };
	struct cprof_error *err = cprof_thread_observer_take(&capture->observer, &now);
	size_t found = 0;
	for (size_t i = 0; !err && i < snapshot->n; i++) {
		struct cprof_thread *thread = &snapshot->threads[i];
		size_t at = cprof_thread_snapshot_find(&now, thread->tid);
		if (thread->means != CPROF_MEANS_NONE || at == SIZE_MAX ||
		    now.threads[at].means == CPROF_MEANS_NONE)
			continue;
		replace(thread, &now.threads[at]);
		found++;
	}
	cprof_thread_snapshot_deinit(&now);
	return err || !found ? err : copy_stacks(capture, snapshot);
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
	snapshot->stops += freeze.stops;
	if (freeze.longest_stop_ns > snapshot->longest_stop_ns)
		snapshot->longest_stop_ns = freeze.longest_stop_ns;
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
	for (int round = 0; round < ROUNDS_MAX; round++) {
		struct cprof_error *err = freeze(capture, snapshot, true, &born);
		if (err || !born)
			return err;
		struct cprof_thread_snapshot again = { .stops = snapshot->stops,
						       .longest_stop_ns =
							       snapshot->longest_stop_ns };
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
	return copy_stacks(capture, snapshot);
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
			thread->why = "it runs, and no sample of it came in time";
	}
}

static struct cprof_error *take(struct cprof_thread_capture *capture,
				struct cprof_thread_snapshot *snapshot)
{
	struct cprof_error *err = cprof_thread_observer_take(&capture->observer, snapshot);
	if (err)
		return err;
	if (capture->options.stops == CPROF_STOPS_ALL)
		return freeze_everybody(capture, snapshot);
	err = copy_stacks(capture, snapshot);
	if (!err)
		err = sample_running(capture, snapshot);
	if (!err && lacks_some(snapshot))
		err = look_again(capture, snapshot);
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
	if (err) {
		cprof_thread_snapshot_deinit(&snapshot);
		return cprof_error_wrap(err, "threads of %d", (int)capture->target->pid);
	}
	explain(capture, &snapshot);
	snapshot.capture_ns = cprof_clock_mono_ns() - start_ns;
	*ret_snapshot = snapshot;
	return NULL;
}
