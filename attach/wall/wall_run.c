/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_run.h"

#include <stdlib.h>
#include <time.h>

#include "attach/perf/perf_host.h"
#include "attach/run/run_without.h"
#include "attach/wall/wall_notes.h"
#include "attach/wall/wall_process.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define FDS_MAX   (2 * CPROF_WAIT_TIER_FDS_MAX)
#define DRAIN_NS  100000000ull
#define RECORD_NS 6000ull /* a sample or a kept wait costs the target about so much */

struct wall {
	const struct cprof_run *run;
	const struct cprof_wall_request *request;
	struct cprof_wall_common common;
	struct cprof_wall_process *processes; /* owned; of each target, in their order */
	size_t n;                             /* that are set up */
	struct cprof_wall_sums sums;          /* of all of them */
	uint64_t looked_back_ns; /* that it recorded until a profile of a part of that was made */
	uint64_t
		boot_before_ns; /* CLOCK_BOOTTIME, which goes on while the machine sleeps, less CLOCK_MONOTONIC */
	uint64_t slept_ns;
};

/* ---- opening ---- */

static void close_all(struct wall *wall)
{
	for (size_t i = 0; i < wall->n; i++)
		cprof_wall_process_close(&wall->processes[i]);
}

/* Of several processes one that has ended meanwhile is left alone. */
static struct cprof_error *without(const struct wall *wall, size_t at, struct cprof_error *err)
{
	return cprof_run_without(wall->run->log, wall->run->targets, wall->run->n_targets,
				 wall->run->targets[at], err);
}

/* All by the same, so that what the profile says of its numbers is true of all. */
static struct cprof_error *open_tier(struct wall *wall, const struct cprof_wall_tier *tier)
{
	struct cprof_error *err = NULL;
	wall->common.tier = tier;
	wall->common.waits.method = tier->waits;
	for (size_t i = 0; !err && i < wall->n; i++)
		err = without(wall, i, cprof_wall_process_open(&wall->processes[i]));
	if (err)
		close_all(wall);
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
	const double records_per_s = wall->request->overhead * (double)CPROF_NS_PER_S / RECORD_NS /
				     2 / (double)wall->run->n_targets;
	if (wall->request->overhead <= 0)
		return;
	cprof_error_free(cprof_perf_host_cpus(&cpus, &n));
	if (wall->common.cpu.rate_hz > records_per_s / (double)n)
		wall->common.cpu.rate_hz = records_per_s / (double)n;
	wall->common.waits.records_per_s = records_per_s < 1 ? 1 : (uint64_t)records_per_s;
}

static struct cprof_error *set_up(struct wall *wall)
{
	const struct cprof_wall_request *request = wall->request;
	wall->common.run = wall->run;
	wall->common.cpu = (struct cprof_cpu_request){
		.event = "cpu-clock",
		.rate_hz = request->rate_hz,
		.stack_bytes = request->stack_bytes,
		.user_only = request->user_only,
		.strategy = request->strategy,
	};
	wall->common.waits = (struct cprof_wait_request){ .all = true,
							  .sleeps = true,
							  .stack_bytes = request->stack_bytes };
	bound(wall);
	wall->processes = calloc(wall->run->n_targets, sizeof(*wall->processes));
	if (!wall->processes)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_session_prepare(wall->run, cprof_wall_types,
							cprof_wall_n_types, &wall->common.session);
	if (!err)
		err = cprof_contexts_new(wall->run, cprof_session_modules(wall->common.session),
					 &wall->common.contexts);
	for (; !err && wall->n < wall->run->n_targets; wall->n++)
		cprof_wall_process_init(&wall->processes[wall->n], &wall->common, wall->n);
	return err;
}

/* ---- the window ---- */

static uint64_t boot_ahead_ns(void)
{
	const uint64_t mono_ns = cprof_clock_mono_ns(), boot_ns = cprof_clock_ns(CLOCK_BOOTTIME);
	return boot_ns > mono_ns ? boot_ns - mono_ns : 0;
}

static void begin(struct wall *wall)
{
	struct cprof_window *window = wall->run->window;
	wall->boot_before_ns = boot_ahead_ns();
	/* A command runs from the window's start on, and nothing of it is to be missed: the account begins first. */
	const uint64_t start_ns = cprof_clock_mono_ns();
	for (size_t i = 0; i < wall->n; i++)
		cprof_wall_process_begin(&wall->processes[i], start_ns);
	cprof_window_start(window);
	window->start_wall_ns -= window->start_mono_ns - start_ns;
	window->start_mono_ns = start_ns;
	for (size_t i = 0; i < wall->n; i++)
		cprof_wall_process_started(&wall->processes[i]);
}

static uint64_t pause_of(const struct wall *wall)
{
	uint64_t pause_ns = DRAIN_NS;
	for (size_t i = 0; i < wall->n; i++) {
		const uint64_t one_ns = cprof_wall_process_pause_ns(&wall->processes[i]);
		pause_ns = one_ns < pause_ns ? one_ns : pause_ns;
	}
	return pause_ns;
}

static size_t fds_of(struct wall *wall, struct pollfd *fds)
{
	size_t n = 0;
	for (size_t i = 0; i < wall->n; i++)
		n += cprof_wall_process_fds(&wall->processes[i], fds + n, FDS_MAX - n);
	return n;
}

static struct cprof_error *turn(struct wall *wall)
{
	struct cprof_error *err = NULL;
	uint64_t lost = 0;
	for (size_t i = 0; !err && i < wall->n; i++) {
		err = cprof_wall_process_turn(&wall->processes[i]);
		lost += wall->processes[i].intake.lost;
	}
	wall->run->log->counts.lost = lost;
	return err;
}

/* Before anything else, as the threads go on. Where nobody knew the end beforehand it is some microseconds later for each process. */
static void stop_accounts(struct wall *wall)
{
	struct cprof_window *window = wall->run->window;
	const uint64_t end_ns = window->end_mono_ns;
	for (size_t i = 0; i < wall->n; i++) {
		const uint64_t one_ns = cprof_wall_process_stop(&wall->processes[i], end_ns);
		if (one_ns > window->end_mono_ns)
			window->end_mono_ns = one_ns;
	}
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
		const size_t n = fds_of(wall, fds);
		more = cprof_window_wait(window, fds, n, pause_of(wall), &wall->run->log->counts);
		if (!more)
			stop_accounts(wall);
		err = turn(wall);
		if (!err)
			err = cprof_snapshots_take(window->snapshots, finish_so_far, wall);
		cprof_session_prefetch(wall->common.session);
	}
	return err;
}

/* All accounts; then where the run looks back, the part that it is asked for. */
static struct cprof_error *finish_accounts(struct wall *wall)
{
	struct cprof_error *err = NULL;
	if (wall->run->ring)
		wall->looked_back_ns = cprof_window_elapsed_ns(wall->run->window);
	for (size_t i = 0; !err && i < wall->n; i++)
		err = cprof_wall_process_account(&wall->processes[i]);
	return err;
}

static struct cprof_error *end(struct wall *wall)
{
	const uint64_t boot_ns = boot_ahead_ns();
	struct cprof_error *err = NULL;
	uint64_t lost = 0;
	wall->slept_ns = boot_ns > wall->boot_before_ns ? boot_ns - wall->boot_before_ns : 0;
	for (size_t i = 0; !err && i < wall->n; i++) {
		const struct cprof_wall_process *process = &wall->processes[i];
		err = cprof_wall_process_end(&wall->processes[i]);
		lost += process->intake.lost;
		lost += process->feed ? cprof_cpu_feed_lost(process->feed) : 0;
	}
	wall->run->log->counts.lost = lost;
	return err ? err : finish_accounts(wall);
}

/* ---- the profile ---- */

/* Who chooses threads wants to see them. */
static bool shows_idle(const struct wall *wall)
{
	return wall->request->idle || wall->run->threads;
}

/* Of one that had ended before it could be opened nothing is known, not even by which way; there is another one. */
static const struct cprof_wall_process *first_seen(const struct wall *wall)
{
	size_t i = 0;
	while (i + 1 < wall->n && !wall->processes[i].ledger_state)
		i++;
	return &wall->processes[i];
}

/* What is told of all of them together. */
static void tell(const struct wall *wall)
{
	const struct cprof_wall_process *first = first_seen(wall);
	struct cprof_wall_notes notes = {
		.tier = wall->common.tier,
		.watch = &first->watch,
		.sums = &wall->sums,
		.shows_idle = shows_idle(wall),
		.looked_back_ns = wall->looked_back_ns,
		.slept_ns = wall->slept_ns,
		.looks = UINT64_MAX,
	};
	for (size_t i = 0; i < wall->n; i++) {
		const struct cprof_wall_process *process = &wall->processes[i];
		bool kernel = true;
		if (process->feed)
			cprof_cpu_feed_way(process->feed, &kernel);
		notes.user_only = notes.user_only || !kernel;
		notes.missed += process->ledger.missed;
		if (process->intake.rate_most_ns > notes.rate_most_ns)
			notes.rate_most_ns = process->intake.rate_most_ns;
		notes.dropped += process->parts.dropped;
		if (process->intake.looks < notes.looks && !wall->run->targets[i]->exited) {
			notes.looks = process->intake.looks;
			notes.watch = &process->watch;
		}
	}
	if (notes.looks == UINT64_MAX)
		notes.looks = first->intake.looks;
	cprof_wall_notes_tell(&notes);
}

/* The steps of all are those of the profile. */
static struct cprof_error *widen_all(struct wall *wall)
{
	uint64_t step_ns = 0;
	struct cprof_error *err = NULL;
	for (size_t i = 0; i < wall->n; i++) {
		const uint64_t one_ns = cprof_wall_process_step_ns(&wall->processes[i]);
		step_ns = one_ns > step_ns ? one_ns : step_ns;
	}
	for (size_t i = 0; !err && wall->n > 1 && i < wall->n; i++)
		err = cprof_wall_process_widen(&wall->processes[i], step_ns);
	return err;
}

static struct cprof_error *fill(struct wall *wall)
{
	struct cprof_error *err = widen_all(wall);
	for (size_t i = 0; !err && i < wall->n; i++) {
		struct cprof_wall_process *process = &wall->processes[i];
		struct cprof_wall_sums sums = { 0 };
		err = cprof_wall_rows_fill(&process->intake, &process->ledger, &process->parts,
					   &process->samples, shows_idle(wall), &sums);
		cprof_wall_sums_add(&wall->sums, &sums);
	}
	return err;
}

static struct cprof_error *make_profile(struct wall *wall, struct cprof_profile **ret_profile)
{
	const int64_t period = (int64_t)((double)CPROF_NS_PER_S / wall->common.cpu.rate_hz + 0.5);
	struct cprof_error *err = fill(wall);
	if (err)
		return err;
	tell(wall);
	cprof_contexts_tell(wall->common.contexts);
	return cprof_session_finish(wall->common.session, "cpu", "nanoseconds", period, "wall",
				    ret_profile);
}

/* In a copy of this process: what it does to its own sums does not last, and nothing may be told to the kernel. */
static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile)
{
	struct wall *wall = ctx;
	struct cprof_error *err = finish_accounts(wall);
	return err ? err : make_profile(wall, ret_profile);
}

/* Before the window begins: what is there from its first moment on has to be known by then. */
static struct cprof_error *look_at_contexts(struct wall *wall)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < wall->n; i++)
		err = cprof_wall_process_look(&wall->processes[i]);
	return err;
}

static struct cprof_error *run_wall(struct wall *wall, struct cprof_profile **ret_profile)
{
	struct cprof_error *err = set_up(wall);
	if (!err)
		err = choose_tier(wall);
	if (!err)
		err = cprof_session_read_targets(wall->common.session);
	if (!err)
		err = look_at_contexts(wall);
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
	struct wall wall = { .run = run, .request = request };
	*ret_profile = NULL;
	struct cprof_error *err = run_wall(&wall, ret_profile);
	for (size_t i = 0; i < wall.n; i++)
		cprof_wall_process_deinit(&wall.processes[i]);
	free(wall.processes);
	cprof_contexts_free(wall.common.contexts);
	cprof_session_free(wall.common.session);
	return err;
}
