/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attach/waits/wait_edges.h"
#include "attach/waits/wait_intake.h"
#include "attach/waits/wait_profile.h"
#include "attach/waits/wait_tier.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define EARLY_NS        1000000ull
#define PACE_NS         100000000ull /* how often the rate follows the load */
#define RATE_START_NS   100000ull
#define RATE_FLOOR_NS   1000ull
#define RATE_CEILING_NS 1000000000ull
#define RECORDS_PER_S   2000ull /* wanted: a few microseconds of the target each */

static const struct cprof_wait_tier *const tiers[] = {
	&cprof_wait_tier_bpf,
	&cprof_wait_tier_perf,
	&cprof_wait_tier_proc,
};
#define N_TIERS (sizeof(tiers) / sizeof(tiers[0]))

/* ---- choosing a tier ---- */

static struct cprof_error *find_named(const char *method, const struct cprof_wait_tier **ret_tier)
{
	*ret_tier = NULL;
	if (strcmp(method, "auto") == 0)
		return NULL;
	for (size_t i = 0; i < N_TIERS; i++) {
		if (strcmp(tiers[i]->name, method) == 0) {
			*ret_tier = tiers[i];
			return NULL;
		}
	}
	struct cprof_error *err =
		cprof_error_new(CPROF_ERR_USAGE, "-block-method: there is no \"%s\"", method);
	return cprof_error_hint(err, "methods are auto, bpf, perf and proc");
}

static struct cprof_error *check_tells(const struct cprof_wait_intake *intake,
				       const struct cprof_wait_tier *tier)
{
	if (intake->request->releases && !tier->tells_releases)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "it sees who waits, but not who ends a wait");
	if (intake->request->all && !tier->tells_all)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "it sees futex calls only, not -block all");
	return NULL;
}

static struct cprof_error *try_tier(struct cprof_wait_intake *intake,
				    const struct cprof_wait_tier *tier, void **ret_state)
{
	struct cprof_error *err = check_tells(intake, tier);
	return err ? err : tier->open(intake, ret_state);
}

static bool try_next(const struct cprof_error *err)
{
	return err->code == CPROF_ERR_DENIED || err->code == CPROF_ERR_UNSUPPORTED ||
	       err->code == CPROF_ERR_OS;
}

static struct cprof_error *open_tier(struct cprof_wait_intake *intake,
				     const struct cprof_wait_tier **ret_tier, void **ret_state)
{
	const struct cprof_wait_tier *named;
	struct cprof_error *err = find_named(intake->request->method, &named);
	if (err)
		return err;
	if (named) {
		*ret_tier = named;
		err = try_tier(intake, named, ret_state);
		return err ? cprof_error_wrap(err, "-block-method %s", named->name) : NULL;
	}
	for (size_t i = 0; i < N_TIERS; i++) {
		cprof_error_free(err);
		err = try_tier(intake, tiers[i], ret_state);
		*ret_tier = tiers[i];
		if (!err || !try_next(err))
			return err;
		cprof_run_log_note(intake->run->log, CPROF_NOTE_DETAIL, "not by %s: %s",
				   tiers[i]->name, err->message);
	}
	return cprof_error_wrap(err, "no way to see waits is open to us; the last one, %s",
				tiers[N_TIERS - 1]->name);
}

/* ---- the window ---- */

/* The rate, and what had come in when it was last set. */
struct control {
	struct cprof_wait_pace pace;
	uint64_t then_ns, records, lost;
};

static void follow_load(struct control *control, struct cprof_wait_intake *intake,
			const struct cprof_wait_tier *tier)
{
	uint64_t now = cprof_clock_mono_ns();
	if (!intake->adaptive || !tier->thins || tier->mark_open ||
	    now - control->then_ns < PACE_NS)
		return;
	intake->rate_ns =
		cprof_wait_pace_next(&control->pace, intake->records - control->records,
				     now - control->then_ns, intake->lost - control->lost);
	control->then_ns = now;
	control->records = intake->records;
	control->lost = intake->lost;
}

/* What a snapshot is made of. */
struct so_far {
	struct cprof_wait_intake *intake;
	const struct cprof_wait_tier *tier;
};

static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile);

/* Take waits until the window is over. */
static struct cprof_error *take_waits(struct cprof_wait_intake *intake,
				      const struct cprof_wait_tier *tier, void *state)
{
	struct cprof_window *window = intake->run->window;
	struct so_far so_far = { intake, tier };
	struct cprof_counts *counts = &intake->run->log->counts;
	CPROF_AUTO(free) struct pollfd *fds = calloc(CPROF_WAIT_TIER_FDS_MAX, sizeof(*fds));
	if (!fds)
		return cprof_error_no_memory();
	cprof_window_start(window);
	struct control control = { .pace = { .rate_ns = RATE_START_NS,
					     .floor_ns = RATE_FLOOR_NS,
					     .ceiling_ns = RATE_CEILING_NS,
					     .target_per_s = RECORDS_PER_S },
				   .then_ns = window->start_mono_ns };
	struct cprof_error *err = NULL;
	bool more = true;
	while (more && !err) {
		size_t n = tier->fds ? tier->fds(state, fds, CPROF_WAIT_TIER_FDS_MAX) : 0;
		uint64_t pause = tier->pause_ns ? tier->pause_ns(state) : tier->drain_ns;
		/* A command may be short: its mappings are read at its first wait, and it must live then. */
		if (!intake->process->started && pause > EARLY_NS)
			pause = EARLY_NS;
		more = cprof_window_wait(window, fds, n, pause, counts);
		err = tier->drain(state);
		counts->lost = intake->lost;
		if (!err)
			err = cprof_snapshots_take(window->snapshots, finish_so_far, &so_far);
		cprof_session_prefetch(intake->session);
		follow_load(&control, intake, tier);
	}
	return err;
}

static struct cprof_error *run_window(struct cprof_wait_intake *intake,
				      const struct cprof_wait_tier *tier, void *state)
{
	struct cprof_error *err = take_waits(intake, tier, state);
	if (!cprof_snapshots_want_last(intake->run->window->snapshots))
		return err; /* waits that are open still would count twice in the next one */
	if (!err && !intake->request->releases)
		err = tier->mark_open ? tier->mark_open(state)
				      : cprof_wait_edges_take(intake, tier, state);
	if (!err && tier->tell)
		tier->tell(state);
	return err;
}

/* ---- the run ---- */

static struct cprof_error *set_up(struct cprof_wait_intake *intake, const struct cprof_run *run,
				  const struct cprof_wait_request *request)
{
	*intake = (struct cprof_wait_intake){
		.run = run,
		.request = request,
		.adaptive = request->rate_ns == 0,
		.rate_ns = request->rate_ns ? request->rate_ns : RATE_START_NS,
	};
	size_t n_types;
	const char *default_type;
	const struct cprof_builder_type *types =
		cprof_wait_profile_types(request->releases, request->all, &n_types, &default_type);
	struct cprof_error *err = cprof_session_new(run, types, n_types, &intake->session);
	if (!err)
		intake->process = cprof_session_process_at(intake->session, 0);
	return err;
}

/* Is who pays the one who held it? Where locks name their owner that can be checked. */
static void put_agreement(const struct cprof_wait_intake *intake, struct cprof_buffer *text)
{
	if (intake->owned)
		cprof_buffer_printf(text,
				    "%" PRIu64 " of %" PRIu64
				    " mutexes (%.1f %%) were released by the "
				    "thread that they named as their owner",
				    intake->agreed, intake->owned,
				    100 * (double)intake->agreed / (double)intake->owned);
}

/* "12.3 s in 45 waits for work (condvar 12.1 s, futex 0.2 s)": all kinds that come to a hundredth of it. */
static void put_left_out(const struct cprof_wait_intake *intake, struct cprof_buffer *text)
{
	double count = 0, delay_ns = 0;
	const char *joint = " (";
	for (size_t i = 0; i < CPROF_WAIT_KIND_N; i++) {
		count += intake->left_out[i].count;
		delay_ns += intake->left_out[i].delay_ns;
	}
	cprof_buffer_printf(text, "%.3f s in %.0f waits for work", delay_ns / 1e9, count);
	for (size_t i = 0; i < CPROF_WAIT_KIND_N; i++) {
		const double kind_ns = intake->left_out[i].delay_ns;
		if (kind_ns <= 0 || kind_ns * 100 < delay_ns)
			continue;
		cprof_buffer_printf(text, "%s%s %.3f s", joint,
				    cprof_wait_kind_name((enum cprof_wait_kind)i), kind_ns / 1e9);
		joint = ", ";
	}
	cprof_buffer_puts(text, *joint == ',' ? ") " : " ");
	cprof_buffer_puts(text, "are not in the default view: cprof's sample_index parked_delay "
				"shows them");
}

static bool leaves_out(const struct cprof_wait_intake *intake)
{
	if (intake->request->releases || intake->request->all)
		return false;
	for (size_t i = 0; i < CPROF_WAIT_KIND_N; i++) {
		if (intake->left_out[i].count > 0)
			return true;
	}
	return false;
}

/* What the numbers of this profile mean goes with it. */
static struct cprof_error *describe(const struct cprof_wait_intake *intake,
				    const struct cprof_wait_tier *tier,
				    struct cprof_profile *profile)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	cprof_buffer_printf(&text, "waits by %s: %s; ", tier->name, tier->exactly);
	if (tier->thins)
		cprof_buffer_printf(&text, "rate %s%" PRIu64 " ns",
				    intake->adaptive ? "adaptive, last " : "", intake->rate_ns);
	else
		cprof_buffer_puts(&text, "every one is counted");
	if (intake->owned)
		cprof_buffer_puts(&text, "; ");
	put_agreement(intake, &text);
	if (leaves_out(intake)) {
		cprof_buffer_puts(&text, "; ");
		put_left_out(intake, &text);
	}
	struct cprof_error *err = cprof_buffer_error(&text);
	return err ? err : cprof_profile_add_comment(profile, cprof_buffer_text(&text));
}

static void tell(const struct cprof_wait_intake *intake, const struct cprof_wait_tier *tier)
{
	struct cprof_run_log *log = intake->run->log;
	cprof_run_log_note(log, CPROF_NOTE_PLAIN, "waits by %s: %s", tier->name, tier->exactly);
	if (intake->adaptive && tier->thins)
		cprof_run_log_note(log, CPROF_NOTE_DETAIL,
				   "rate followed the load, at last %" PRIu64 " ns",
				   intake->rate_ns);
	CPROF_AUTO(buffer) struct cprof_buffer agreement = { 0 };
	put_agreement(intake, &agreement);
	if (intake->owned)
		cprof_run_log_note(log, CPROF_NOTE_PLAIN, "%s", cprof_buffer_text(&agreement));
	CPROF_AUTO(buffer) struct cprof_buffer left_out = { 0 };
	if (leaves_out(intake)) {
		put_left_out(intake, &left_out);
		cprof_run_log_note(log, CPROF_NOTE_PLAIN, "%s", cprof_buffer_text(&left_out));
	}
	if (intake->table.coarse)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " waits have no lock and thread labels: more than %d "
				   "distinct ones",
				   intake->table.coarse, CPROF_WAIT_TABLE_MAX);
}

static struct cprof_error *make_profile(const struct cprof_wait_intake *intake,
					const struct cprof_wait_tier *tier,
					struct cprof_profile **ret_profile)
{
	size_t n_types;
	const char *default_type;
	cprof_wait_profile_types(intake->request->releases, intake->request->all, &n_types,
				 &default_type);
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	struct cprof_error *err = cprof_session_finish(intake->session, "contentions", "count", 1,
						       default_type, &profile);
	if (!err)
		err = describe(intake, tier, profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
}

static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile)
{
	const struct so_far *so_far = ctx;
	struct cprof_error *err = cprof_wait_profile_fill(so_far->intake);
	return err ? err : make_profile(so_far->intake, so_far->tier, ret_profile);
}

static struct cprof_error *run_with(struct cprof_wait_intake *intake,
				    struct cprof_profile **ret_profile)
{
	const struct cprof_wait_tier *tier;
	void *state = NULL;
	struct cprof_error *err = open_tier(intake, &tier, &state);
	if (err)
		return err;
	intake->tells_wakes = tier->tells_wakes;
	err = run_window(intake, tier, state);
	tier->close(state);
	*ret_profile = NULL;
	if (err || !cprof_snapshots_want_last(intake->run->window->snapshots))
		return err;
	err = cprof_wait_profile_fill(intake);
	if (err)
		return err;
	tell(intake, tier);
	return make_profile(intake, tier, ret_profile);
}

struct cprof_error *cprof_wait_run(const struct cprof_run *run,
				   const struct cprof_wait_request *request,
				   struct cprof_profile **ret_profile)
{
	struct cprof_wait_intake intake;
	struct cprof_error *err = set_up(&intake, run, request);
	if (!err)
		err = run_with(&intake, ret_profile);
	cprof_wait_table_deinit(&intake.table);
	cprof_map64_deinit(&intake.threads);
	cprof_wait_evidence_deinit(&intake.evidences);
	cprof_session_free(intake.session);
	return err;
}
