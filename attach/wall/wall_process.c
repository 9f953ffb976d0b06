/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_process.h"

#include <stdlib.h>

#include "attach/run/session_time.h"
#include "attach/wall/ledger_source.h"
#include "attach/wall/wall_requests.h"
#include "attach/wall/wall_timed.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define RATE_LEAST_NS  100000ull
#define RATE_THREAD_NS 10000ull
#define SPANS_LEAST    4096u
#define STEP_LEAST_NS  2000000ull /* of the time that it is told when things were */

static const struct cprof_ledger_source *source_of(const struct cprof_wall_process *process)
{
	return process->common->tier->ledger;
}

/* One of several that had ended before it could be opened has no events, and nothing is known of it. */
static bool is_open(const struct cprof_wall_process *process)
{
	return process->ledger_state != NULL;
}

/* ---- opening ---- */

/* To begin with: many threads sleep often, and the rings are small until the rate has followed that. */
static uint64_t rate_for(const struct cprof_target *target)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_target_threads(target, &tids, &n));
	return RATE_LEAST_NS + n * RATE_THREAD_NS;
}

void cprof_wall_process_init(struct cprof_wall_process *process,
			     const struct cprof_wall_common *common, size_t at)
{
	const struct cprof_run *run = common->run;
	*process = (struct cprof_wall_process){ .common = common, .alone = *run };
	process->alone.targets = &run->targets[at];
	process->alone.n_targets = 1;
	process->intake = (struct cprof_wait_intake){
		.run = run,
		.request = &common->waits,
		.session = common->session,
		.process = cprof_session_process_at(common->session, at),
		.contexts = common->contexts,
	};
	cprof_wait_watch_rate(&process->intake);
	process->intake.rate_ns = process->intake.rate_most_ns = rate_for(run->targets[at]);
	/* A profile of a part of what was recorded goes by when that was, whether it says so or not. */
	process->ledger.timed = process->intake.timed = run->timeline.on || run->ring;
	process->ring = (struct cprof_wall_ring){
		.watch = &process->watch,
		.ledger = &process->ledger,
		.parts = &process->parts,
		.samples = &process->samples,
	};
}

void cprof_wall_process_deinit(struct cprof_wall_process *process)
{
	cprof_wall_process_close(process);
	cprof_ledger_deinit(&process->ledger);
	cprof_wall_parts_deinit(&process->parts);
	cprof_time_spans_deinit(&process->samples);
	cprof_wall_ring_deinit(&process->ring);
	cprof_time_spans_deinit(&process->intake.times);
	cprof_wait_table_deinit(&process->intake.table);
	cprof_map64_deinit(&process->intake.threads);
	cprof_wait_evidence_deinit(&process->intake.evidences);
}

static struct cprof_error *take_sample(void *ctx, const struct cprof_cpu_feed_sample *sample)
{
	struct cprof_wall_process *process = ctx;
	struct cprof_wait_intake *intake = &process->intake;
	const uint64_t mono_ns = sample->mono_ns;
	struct cprof_wall_part part = {
		.tid = sample->tid,
		.what = CPROF_WALL_ON_CPU,
		.weight = 1,
		.count = 1,
	};
	const double values[CPROF_WALL_SAMPLE_VALUES] = {
		[CPROF_WALL_SAMPLE_WEIGHT] = 1, [CPROF_WALL_SAMPLE_COUNT] = 1
	};
	size_t at;
	if (mono_ns > cprof_wait_intake_end_ns(intake))
		return NULL;
	part.request = cprof_contexts_number(intake->contexts, intake->process, sample->context,
					     sample->n_context);
	struct cprof_error *err = cprof_session_stack(intake->session, sample->stack, &part.stack);
	if (!err)
		err = cprof_wall_parts_add(&process->parts, &part, &at);
	if (!err && at != SIZE_MAX && process->ledger.timed)
		err = cprof_time_spans_add(&process->samples, (uint32_t)at, mono_ns, mono_ns,
					   values, CPROF_WALL_SAMPLE_VALUES);
	cprof_process_thread_name(intake->process, sample->tid); /* while it lives */
	return err;
}

static void tell_thread(void *ctx, pid_t tid, bool born, uint64_t mono_ns)
{
	struct cprof_wall_process *process = ctx;
	if (source_of(process)->tell)
		source_of(process)->tell(process->ledger_state, tid, born, mono_ns);
}

static struct cprof_error *open_feed(struct cprof_wall_process *process)
{
	const struct cprof_wall_common *common = process->common;
	const struct cprof_cpu_feed_taker taker = {
		.sample = take_sample,
		.thread = tell_thread,
		.ctx = process,
	};
	if (!common->tier->samples)
		return NULL;
	struct cprof_error *err = cprof_cpu_feed_open(&process->alone, &common->cpu,
						      common->session, &taker, &process->feed);
	if (!err)
		cprof_cpu_feed_start(process->feed);
	return err;
}

/* The account before the waits: none of these may be without the other's end. */
struct cprof_error *cprof_wall_process_open(struct cprof_wall_process *process)
{
	struct cprof_error *err = source_of(process)->open(&process->alone, process->ledger.timed,
							   &process->ledger_state);
	if (!err)
		err = open_feed(process);
	if (!err)
		err = cprof_wait_watch_open(&process->intake, &process->watch);
	if (err)
		cprof_wall_process_close(process);
	return err;
}

void cprof_wall_process_close(struct cprof_wall_process *process)
{
	cprof_wait_watch_close(&process->watch);
	cprof_cpu_feed_close(process->feed);
	process->feed = NULL;
	if (process->ledger_state)
		source_of(process)->close(process->ledger_state);
	process->ledger_state = NULL;
}

/* ---- the window ---- */

/* Of each of three kinds, in half of the memory: it is rather told more coarsely when things were than forgotten. */
static size_t spans_in(size_t bytes)
{
	const size_t n = bytes / 2 / 3 / CPROF_WAIT_RING_SPAN_BYTES;
	return n < SPANS_LEAST ? SPANS_LEAST : n < CPROF_TIME_SPANS_MAX ? n : CPROF_TIME_SPANS_MAX;
}

/* Returns the step in which it is told when things were. */
static uint64_t begin_times(struct cprof_wall_process *process, uint64_t start_ns)
{
	const struct cprof_run *run = process->common->run;
	const struct cprof_time_spans empty = {
		.zero_ns = start_ns,
		.step_ns = cprof_session_time_step(run, STEP_LEAST_NS),
		.full = run->ring ? spans_in(run->ring->bytes_max) : 0,
	};
	if (!process->ledger.timed)
		return 0;
	process->samples = process->ledger.times = process->intake.times = empty;
	return empty.step_ns;
}

void cprof_wall_process_begin(struct cprof_wall_process *process, uint64_t start_ns)
{
	const struct cprof_window *window = process->common->run->window;
	const uint64_t step_ns = begin_times(process, start_ns);
	if (is_open(process))
		source_of(process)->start(
			process->ledger_state, start_ns,
			window->length_ns ? start_ns + window->length_ns : UINT64_MAX, step_ns);
}

void cprof_wall_process_started(struct cprof_wall_process *process)
{
	const uint64_t start_ns = process->common->run->window->start_mono_ns;
	if (!is_open(process))
		return;
	cprof_wait_watch_start(&process->watch);
	cprof_wall_ring_start(&process->ring, start_ns);
	process->polled_ns = start_ns;
}

size_t cprof_wall_process_fds(struct cprof_wall_process *process, struct pollfd *fds, size_t cap)
{
	const size_t n = process->feed ? cprof_cpu_feed_fds(process->feed, fds, cap) : 0;
	if (!is_open(process))
		return 0;
	return n + cprof_wait_watch_fds(&process->watch, fds + n, cap - n);
}

uint64_t cprof_wall_process_pause_ns(const struct cprof_wall_process *process)
{
	if (!is_open(process))
		return UINT64_MAX;
	const uint64_t pause_ns = cprof_wait_watch_pause_ns(&process->watch);
	const uint64_t poll_ns = source_of(process)->pause_ns(process->ledger_state);
	return poll_ns < pause_ns ? poll_ns : pause_ns;
}

/* A process that stands still waits for nothing of its own: looks at it would take the stop for its waits. */
static struct cprof_error *drain_waits(struct cprof_wall_process *process)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	const struct cprof_ledger_source *source = source_of(process);
	if (source->stands_still && source->stands_still(process->ledger_state, now_ns)) {
		process->intake.skip_ns = now_ns;
		return NULL;
	}
	return cprof_wait_watch_drain(&process->watch);
}

/* All go by the widest of them. */
static struct cprof_error *widen(struct cprof_wall_process *process)
{
	const uint64_t step_ns = cprof_session_time_step(process->common->run, STEP_LEAST_NS);
	if (!process->ledger.timed)
		return NULL;
	struct cprof_error *err = cprof_time_spans_widen(&process->ledger.times, step_ns);
	return err ? err
		   : cprof_time_spans_widen(&process->intake.times, process->ledger.times.step_ns);
}

static struct cprof_error *poll_account(struct cprof_wall_process *process)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	if (now_ns - process->polled_ns < source_of(process)->pause_ns(process->ledger_state))
		return NULL;
	process->polled_ns = now_ns;
	struct cprof_error *err = source_of(process)->poll(process->ledger_state, &process->ledger);
	return err ? err : widen(process);
}

struct cprof_error *cprof_wall_process_look(struct cprof_wall_process *process)
{
	return is_open(process) ? cprof_wall_requests_look(process->feed, &process->watch) : NULL;
}

struct cprof_error *cprof_wall_process_turn(struct cprof_wall_process *process)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	if (!is_open(process))
		return NULL;
	struct cprof_error *err = drain_waits(process);
	if (!err && process->feed)
		err = cprof_cpu_feed_drain(process->feed, now_ns);
	if (!err)
		err = poll_account(process);
	if (!err)
		err = cprof_wall_process_look(process);
	if (!err)
		err = cprof_wall_ring_turn(&process->ring);
	cprof_wait_watch_pace(&process->watch);
	return err;
}

/* ---- its end ---- */

struct cprof_error *cprof_wall_process_account(struct cprof_wall_process *process)
{
	if (!is_open(process))
		return NULL;
	struct cprof_error *err =
		source_of(process)->finish(process->ledger_state, &process->ledger);
	return err || !process->common->run->ring ? err : cprof_wall_ring_cut(&process->ring);
}

uint64_t cprof_wall_process_stop(struct cprof_wall_process *process, uint64_t end_ns)
{
	return is_open(process) ? source_of(process)->stop(process->ledger_state, end_ns) : end_ns;
}

struct cprof_error *cprof_wall_process_end(struct cprof_wall_process *process)
{
	const struct cprof_run *run = process->common->run;
	struct cprof_error *err = NULL;
	if (!is_open(process))
		return NULL;
	if (process->feed) {
		cprof_cpu_feed_stop(process->feed);
		err = cprof_cpu_feed_drain(process->feed, UINT64_MAX);
	}
	if (!err && !run->ring)
		err = cprof_wait_watch_end(&process->watch);
	return err;
}

uint64_t cprof_wall_process_step_ns(const struct cprof_wall_process *process)
{
	const uint64_t a = process->ledger.times.step_ns, b = process->intake.times.step_ns;
	return a > b ? a : b;
}

struct cprof_error *cprof_wall_process_widen(struct cprof_wall_process *process, uint64_t step_ns)
{
	return cprof_time_spans_widen(&process->ledger.times, step_ns);
}
