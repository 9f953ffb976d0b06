/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_run.h"

#include <stdlib.h>
#include <time.h>

#include "attach/cpu/cpu_run_feed.h"
#include "attach/perf/perf_host.h"
#include "attach/wall/ledger_source.h"
#include "attach/wall/wall_parts.h"
#include "attach/run/session_time.h"
#include "attach/run/time_spans.h"
#include "attach/wall/wall_notes.h"
#include "attach/wall/wall_requests.h"
#include "attach/wall/wall_ring.h"
#include "attach/wall/wall_rows.h"
#include "attach/wall/wall_tier.h"
#include "attach/wall/wall_timed.h"
#include "attach/waits/wait_watch.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define FDS_MAX        (2 * CPROF_WAIT_TIER_FDS_MAX)
#define DRAIN_NS       100000000ull
#define RATE_LEAST_NS  100000ull
#define RATE_THREAD_NS 10000ull
#define STACK_BYTES                                                                                \
	8192 /* of a wait: what is deeper is read later, since a thread that waits stays below it */
#define RECORD_NS     6000ull /* a sample or a kept wait costs the target about so much */
#define SPANS_LEAST   4096u
#define STEP_LEAST_NS 2000000ull /* of the time that it is told when things were */

struct wall {
	const struct cprof_run *run;
	const struct cprof_wall_request *request;
	struct cprof_cpu_request cpu;
	struct cprof_wait_request waits;
	struct cprof_session *session;
	struct cprof_wait_intake intake;

	const struct cprof_wall_tier *tier;
	struct cprof_wait_watch watch;
	struct cprof_cpu_feed *feed; /* NULL: no samples */
	void *ledger_state;

	struct cprof_ledger ledger;
	struct cprof_wall_parts parts;
	struct cprof_time_spans samples; /* of each part (key), when they were */
	struct cprof_wall_sums sums;
	struct cprof_wall_ring ring; /* where the run looks back */
	uint64_t looked_back_ns; /* that it recorded until a profile of a part of that was made */
	uint64_t polled_ns;
	uint64_t
		boot_before_ns; /* CLOCK_BOOTTIME, which goes on while the machine sleeps, less CLOCK_MONOTONIC */
	uint64_t slept_ns;
};

/* ---- samples ---- */

static struct cprof_error *take_sample(void *ctx, const struct cprof_cpu_feed_sample *sample)
{
	struct wall *wall = ctx;
	const pid_t tid = sample->tid;
	const uint64_t mono_ns = sample->mono_ns;
	struct cprof_wall_part part = {
		.tid = tid,
		.what = CPROF_WALL_ON_CPU,
		.weight = 1,
		.count = 1,
	};
	const double values[CPROF_WALL_SAMPLE_VALUES] = {
		[CPROF_WALL_SAMPLE_WEIGHT] = 1, [CPROF_WALL_SAMPLE_COUNT] = 1
	};
	size_t at;
	if (mono_ns > cprof_wait_intake_end_ns(&wall->intake))
		return NULL;
	part.request = cprof_contexts_number(wall->intake.contexts, wall->intake.process,
					     sample->context, sample->n_context);
	struct cprof_error *err = cprof_session_stack(wall->session, sample->stack, &part.stack);
	if (!err)
		err = cprof_wall_parts_add(&wall->parts, &part, &at);
	if (!err && at != SIZE_MAX && wall->ledger.timed)
		err = cprof_time_spans_add(&wall->samples, (uint32_t)at, mono_ns, mono_ns, values,
					   CPROF_WALL_SAMPLE_VALUES);
	cprof_process_thread_name(wall->intake.process, tid); /* while it lives */
	return err;
}

static void tell_thread(void *ctx, pid_t tid, bool born, uint64_t mono_ns)
{
	struct wall *wall = ctx;
	if (wall->tier->ledger->tell)
		wall->tier->ledger->tell(wall->ledger_state, tid, born, mono_ns);
}

/* ---- opening ---- */

static void close_tier(struct wall *wall)
{
	cprof_wait_watch_close(&wall->watch);
	cprof_cpu_feed_close(wall->feed);
	wall->feed = NULL;
	if (wall->ledger_state)
		wall->tier->ledger->close(wall->ledger_state);
	wall->ledger_state = NULL;
}

static struct cprof_error *open_feed(struct wall *wall)
{
	const struct cprof_cpu_feed_taker taker = {
		.sample = take_sample,
		.thread = tell_thread,
		.ctx = wall,
	};
	if (!wall->tier->samples)
		return NULL;
	struct cprof_error *err =
		cprof_cpu_feed_open(wall->run, &wall->cpu, wall->session, &taker, &wall->feed);
	if (!err)
		cprof_cpu_feed_start(wall->feed);
	return err;
}

/* The account before the waits: none of these may be without the other's end. */
static struct cprof_error *open_tier(struct wall *wall, const struct cprof_wall_tier *tier)
{
	wall->tier = tier;
	wall->waits.method = tier->waits;
	struct cprof_error *err =
		tier->ledger->open(wall->run, wall->ledger.timed, &wall->ledger_state);
	if (!err)
		err = open_feed(wall);
	if (!err)
		err = cprof_wait_watch_open(&wall->intake, &wall->watch);
	if (err)
		close_tier(wall);
	return err;
}

static bool try_next(const struct cprof_error *err)
{
	return err->code == CPROF_ERR_DENIED || err->code == CPROF_ERR_UNSUPPORTED ||
	       err->code == CPROF_ERR_OS;
}

static struct cprof_error *choose_tier(struct wall *wall)
{
	const struct cprof_wall_tier *named;
	struct cprof_error *err = cprof_wall_tier_find(wall->request->method, &named);
	if (err)
		return err;
	if (named) {
		err = open_tier(wall, named);
		return err ? cprof_error_wrap(err, "-wall-method %s", named->name) : NULL;
	}
	size_t i = 0;
	do {
		cprof_error_free(err);
		err = open_tier(wall, &cprof_wall_tiers[i]);
		if (!err || !try_next(err))
			return err;
		cprof_run_log_note(wall->run->log, CPROF_NOTE_DETAIL, "not by %s: %s",
				   cprof_wall_tiers[i].name, err->message);
	} while (++i < cprof_wall_n_tiers);
	return cprof_error_wrap(err,
				"no way to see all of its time is open to us; the last one, %s",
				cprof_wall_tiers[cprof_wall_n_tiers - 1].name);
}

/* Half of what it may cost goes to samples, half to waits. */
static void bound(struct wall *wall)
{
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n = 1;
	const double records_per_s =
		wall->request->overhead * (double)CPROF_NS_PER_S / RECORD_NS / 2;
	if (wall->request->overhead <= 0)
		return;
	cprof_error_free(cprof_perf_host_cpus(&cpus, &n));
	if (wall->cpu.rate_hz > records_per_s / (double)n)
		wall->cpu.rate_hz = records_per_s / (double)n;
	wall->waits.records_per_s = records_per_s < 1 ? 1 : (uint64_t)records_per_s;
}

/* To begin with: many threads sleep often, and the rings are small until the rate has followed that. */
static uint64_t rate_for(const struct cprof_target *target)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_target_threads(target, &tids, &n));
	return RATE_LEAST_NS + n * RATE_THREAD_NS;
}

static struct cprof_error *set_up(struct wall *wall)
{
	const struct cprof_wall_request *request = wall->request;
	wall->cpu = (struct cprof_cpu_request){
		.event = "cpu-clock",
		.rate_hz = request->rate_hz,
		.stack_bytes = request->stack_bytes,
		.user_only = request->user_only,
		.strategy = request->strategy,
	};
	wall->waits = (struct cprof_wait_request){ .all = true,
						   .sleeps = true,
						   .stack_bytes = request->stack_bytes };
	bound(wall);
	struct cprof_error *err = cprof_session_prepare(wall->run, cprof_wall_types,
							cprof_wall_n_types, &wall->session);
	if (err)
		return err;
	wall->intake = (struct cprof_wait_intake){
		.run = wall->run,
		.request = &wall->waits,
		.session = wall->session,
		.process = cprof_session_process_at(wall->session, 0),
	};
	err = cprof_contexts_new(wall->run, cprof_session_modules(wall->session),
				 &wall->intake.contexts);
	if (err)
		return err;
	cprof_wait_watch_rate(&wall->intake);
	wall->intake.rate_ns = rate_for(wall->run->targets[0]);
	/* A profile of a part of what was recorded goes by when that was, whether it says so or not. */
	wall->ledger.timed = wall->intake.timed = wall->run->timeline.on || wall->run->ring;
	wall->ring = (struct cprof_wall_ring){
		.watch = &wall->watch,
		.ledger = &wall->ledger,
		.parts = &wall->parts,
		.samples = &wall->samples,
	};
	return NULL;
}

/* ---- the window ---- */

static uint64_t boot_ahead_ns(void)
{
	const uint64_t mono_ns = cprof_clock_mono_ns(), boot_ns = cprof_clock_ns(CLOCK_BOOTTIME);
	return boot_ns > mono_ns ? boot_ns - mono_ns : 0;
}

/* Of each of three kinds, in half of the memory: it is rather told more coarsely when things were than forgotten. */
static size_t spans_in(size_t bytes)
{
	const size_t n = bytes / 2 / 3 / CPROF_WAIT_RING_SPAN_BYTES;
	return n < SPANS_LEAST ? SPANS_LEAST : n < CPROF_TIME_SPANS_MAX ? n : CPROF_TIME_SPANS_MAX;
}

/* Returns the step in which it is told when things were. */
static uint64_t begin_times(struct wall *wall, uint64_t start_ns)
{
	const uint64_t step_ns = cprof_session_time_step(wall->run, STEP_LEAST_NS);
	const struct cprof_sample_ring *ring = wall->run->ring;
	if (!wall->ledger.timed)
		return 0;
	if (ring)
		wall->samples.full = wall->ledger.times.full = wall->intake.times.full =
			spans_in(ring->bytes_max);
	wall->samples.zero_ns = wall->ledger.times.zero_ns = wall->intake.times.zero_ns = start_ns;
	wall->samples.step_ns = wall->ledger.times.step_ns = wall->intake.times.step_ns = step_ns;
	return step_ns;
}

/* All go by the widest of them. */
static struct cprof_error *widen(struct wall *wall)
{
	const uint64_t step_ns = cprof_session_time_step(wall->run, STEP_LEAST_NS);
	if (!wall->ledger.timed)
		return NULL;
	struct cprof_error *err = cprof_time_spans_widen(&wall->ledger.times, step_ns);
	return err ? err : cprof_time_spans_widen(&wall->intake.times, wall->ledger.times.step_ns);
}

static void begin(struct wall *wall)
{
	struct cprof_window *window = wall->run->window;
	wall->boot_before_ns = boot_ahead_ns();
	/* A command runs from the window's start on, and nothing of it is to be missed: the account begins first. */
	const uint64_t start_ns = cprof_clock_mono_ns();
	wall->tier->ledger->start(wall->ledger_state, start_ns,
				  window->length_ns ? start_ns + window->length_ns : UINT64_MAX,
				  begin_times(wall, start_ns));
	cprof_window_start(window);
	window->start_wall_ns -= window->start_mono_ns - start_ns;
	window->start_mono_ns = start_ns;
	cprof_wait_watch_start(&wall->watch);
	cprof_wall_ring_start(&wall->ring, start_ns);
	wall->polled_ns = start_ns;
}

static uint64_t pause_of(const struct wall *wall)
{
	uint64_t pause_ns = cprof_wait_watch_pause_ns(&wall->watch);
	const uint64_t poll_ns = wall->tier->ledger->pause_ns(wall->ledger_state);
	if (poll_ns < pause_ns)
		pause_ns = poll_ns;
	return pause_ns < DRAIN_NS ? pause_ns : DRAIN_NS;
}

/* A process that stands still waits for nothing of its own: looks at it would take the stop for its waits. */
static struct cprof_error *drain_waits(struct wall *wall)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	const struct cprof_ledger_source *ledger = wall->tier->ledger;
	if (ledger->stands_still && ledger->stands_still(wall->ledger_state, now_ns)) {
		wall->intake.skip_ns = now_ns;
		return NULL;
	}
	return cprof_wait_watch_drain(&wall->watch);
}

static struct cprof_error *drain(struct wall *wall, uint64_t until_ns)
{
	struct cprof_error *err = drain_waits(wall);
	if (!err && wall->feed)
		err = cprof_cpu_feed_drain(wall->feed, until_ns);
	const uint64_t now_ns = cprof_clock_mono_ns();
	if (err || now_ns - wall->polled_ns < wall->tier->ledger->pause_ns(wall->ledger_state))
		return err;
	wall->polled_ns = now_ns;
	err = wall->tier->ledger->poll(wall->ledger_state, &wall->ledger);
	return err ? err : widen(wall);
}

/* Before anything else, as the threads go on. */
static void stop_account(struct wall *wall)
{
	struct cprof_window *window = wall->run->window;
	window->end_mono_ns = wall->tier->ledger->stop(wall->ledger_state, window->end_mono_ns);
}

static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile);

static struct cprof_error *watch(struct wall *wall)
{
	struct cprof_window *window = wall->run->window;
	CPROF_AUTO(free) struct pollfd *fds = calloc(FDS_MAX, sizeof(*fds));
	if (!fds)
		return cprof_error_no_memory();
	begin(wall);
	struct cprof_error *err = NULL;
	bool more = true;
	while (more && !err) {
		size_t n = wall->feed ? cprof_cpu_feed_fds(wall->feed, fds, FDS_MAX) : 0;
		n += cprof_wait_watch_fds(&wall->watch, fds + n, FDS_MAX - n);
		more = cprof_window_wait(window, fds, n, pause_of(wall), &wall->run->log->counts);
		if (!more)
			stop_account(wall);
		err = drain(wall, cprof_clock_mono_ns());
		if (!err)
			err = cprof_wall_requests_look(wall->feed, &wall->watch);
		if (!err)
			err = cprof_wall_ring_turn(&wall->ring);
		if (!err)
			err = cprof_snapshots_take(window->snapshots, finish_so_far, wall);
		cprof_session_prefetch(wall->session);
		cprof_wait_watch_pace(&wall->watch);
	}
	return err;
}

/* All accounts; then where the run looks back, the part that it is asked for. */
static struct cprof_error *finish_accounts(struct wall *wall)
{
	struct cprof_error *err = wall->tier->ledger->finish(wall->ledger_state, &wall->ledger);
	if (err || !wall->run->ring)
		return err;
	wall->looked_back_ns = cprof_window_elapsed_ns(wall->run->window);
	return cprof_wall_ring_cut(&wall->ring);
}

static struct cprof_error *end(struct wall *wall)
{
	const uint64_t boot_ns = boot_ahead_ns();
	struct cprof_error *err = NULL;
	wall->slept_ns = boot_ns > wall->boot_before_ns ? boot_ns - wall->boot_before_ns : 0;
	if (wall->feed) {
		cprof_cpu_feed_stop(wall->feed);
		err = cprof_cpu_feed_drain(wall->feed, UINT64_MAX);
	}
	if (!err && !wall->run->ring)
		err = cprof_wait_watch_end(&wall->watch);
	if (wall->feed)
		wall->run->log->counts.lost = wall->intake.lost + cprof_cpu_feed_lost(wall->feed);
	return err ? err : finish_accounts(wall);
}

/* ---- the profile ---- */

/* Who chooses threads wants to see them. */
static bool shows_idle(const struct wall *wall)
{
	return wall->request->idle || wall->run->threads;
}

static void tell(const struct wall *wall)
{
	bool kernel = true;
	if (wall->feed)
		cprof_cpu_feed_way(wall->feed, &kernel);
	const struct cprof_wall_notes notes = {
		.tier = wall->tier,
		.watch = &wall->watch,
		.ledger = &wall->ledger,
		.parts = &wall->parts,
		.sums = &wall->sums,
		.shows_idle = shows_idle(wall),
		.user_only = !kernel,
		.looked_back_ns = wall->looked_back_ns,
		.slept_ns = wall->slept_ns,
	};
	cprof_wall_notes_tell(&notes);
}

static struct cprof_error *make_profile(struct wall *wall, struct cprof_profile **ret_profile)
{
	const int64_t period = (int64_t)((double)CPROF_NS_PER_S / wall->cpu.rate_hz + 0.5);
	struct cprof_error *err =
		cprof_wall_rows_fill(&wall->intake, &wall->ledger, &wall->parts, &wall->samples,
				     shows_idle(wall), &wall->sums);
	if (err)
		return err;
	tell(wall);
	cprof_contexts_tell(wall->intake.contexts);
	return cprof_session_finish(wall->session, "cpu", "nanoseconds", period, "wall",
				    ret_profile);
}

/* In a copy of this process: what it does to its own sums does not last, and nothing may be told to the kernel. */
static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile)
{
	struct wall *wall = ctx;
	struct cprof_error *err = finish_accounts(wall);
	return err ? err : make_profile(wall, ret_profile);
}

static struct cprof_error *run_wall(struct wall *wall, struct cprof_profile **ret_profile)
{
	struct cprof_error *err = set_up(wall);
	if (!err)
		err = choose_tier(wall);
	if (!err)
		err = cprof_session_read_targets(wall->session);
	if (!err)
		err = cprof_wall_requests_look(wall->feed, &wall->watch);
	if (!err)
		err = watch(wall);
	if (err || !cprof_snapshots_want_last(wall->run->window->snapshots))
		return err;
	err = end(wall);
	return err ? err : make_profile(wall, ret_profile);
}

struct cprof_error *cprof_wall_run(const struct cprof_run *run,
				   const struct cprof_wall_request *request,
				   struct cprof_profile **ret_profile)
{
	struct wall *wall = calloc(1, sizeof(*wall));
	if (!wall)
		return cprof_error_no_memory();
	wall->run = run;
	wall->request = request;
	*ret_profile = NULL;
	struct cprof_error *err = run_wall(wall, ret_profile);
	close_tier(wall);
	cprof_ledger_deinit(&wall->ledger);
	cprof_wall_parts_deinit(&wall->parts);
	cprof_time_spans_deinit(&wall->samples);
	cprof_wall_ring_deinit(&wall->ring);
	cprof_time_spans_deinit(&wall->intake.times);
	cprof_wait_table_deinit(&wall->intake.table);
	cprof_map64_deinit(&wall->intake.threads);
	cprof_wait_evidence_deinit(&wall->intake.evidences);
	cprof_contexts_free(wall->intake.contexts);
	cprof_session_free(wall->session);
	free(wall);
	return err;
}
