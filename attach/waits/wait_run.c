/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/quiet.h"
#include "attach/waits/wait_run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "attach/run/session_time.h"
#include "attach/waits/wait_intake.h"
#include "attach/waits/wait_profile.h"
#include "attach/waits/wait_ring.h"
#include "attach/waits/wait_watch.h"
#include "base/cleanup.h"

/* ---- the window ---- */

struct waits {
	struct cprof_wait_watch watch;
	struct cprof_wait_ring ring; /* where the run looks back */
};

static struct cprof_error *finish_so_far(void *ctx, struct cprof_profile **ret_profile);

/* Take waits until the window is over. */
static struct cprof_error *take_waits(struct waits *waits)
{
	struct cprof_wait_watch *watch = &waits->watch;
	struct cprof_wait_intake *intake = watch->intake;
	struct cprof_window *window = intake->run->window;
	CPROF_AUTO(free) struct pollfd *fds = calloc(CPROF_WAIT_TIER_FDS_MAX, sizeof(*fds));
	if (!fds)
		return cprof_error_no_memory();
	cprof_window_start(window);
	cprof_wait_watch_start(watch);
	intake->times.zero_ns = window->start_mono_ns;
	intake->times.step_ns = cprof_session_time_step(intake->run, CPROF_TIMELINE_NS_PER_MS);
	waits->ring.turned_ns = window->start_mono_ns;
	struct cprof_quiet quiet = { 0 };
	struct cprof_error *err = NULL;
	bool more = true;
	while (more && !err) {
		size_t n = cprof_wait_watch_fds(watch, fds, CPROF_WAIT_TIER_FDS_MAX);
		uint64_t pause_ns = cprof_wait_watch_pause_ns(watch);
		if (n && window->snapshots) /* rings that fill up wake us */
			pause_ns = cprof_quiet_wait_ns(&quiet, intake->records, pause_ns);
		more = cprof_window_wait(window, fds, n, pause_ns, &intake->run->log->counts);
		err = cprof_wait_watch_drain(watch);
		if (!err)
			err = cprof_wait_watch_look(watch);
		if (!err && intake->timed)
			err = cprof_time_spans_widen(
				&intake->times,
				cprof_session_time_step(intake->run, CPROF_TIMELINE_NS_PER_MS));
		if (!err)
			err = cprof_wait_ring_turn(&waits->ring, watch);
		if (!err)
			err = cprof_snapshots_take(window->snapshots, finish_so_far, waits);
		cprof_session_prefetch(intake->session);
		cprof_wait_watch_pace(watch);
	}
	return err;
}

static struct cprof_error *run_window(struct waits *waits)
{
	const struct cprof_run *run = waits->watch.intake->run;
	struct cprof_error *err = take_waits(waits);
	if (!cprof_snapshots_want_last(run->window->snapshots))
		return err; /* waits that are open still would count twice in the next one */
	if (!err && run->ring)
		return cprof_wait_ring_cut(&waits->ring, &waits->watch);
	return err ? err : cprof_wait_watch_end(&waits->watch);
}

/* ---- the run ---- */

static struct cprof_error *set_up(struct cprof_wait_intake *intake, const struct cprof_run *run,
				  const struct cprof_wait_request *request)
{
	*intake = (struct cprof_wait_intake){
		.run = run,
		.request = request,
		.timed = run->timeline.on,
	};
	cprof_wait_watch_rate(intake);
	size_t n_types;
	const char *default_type;
	const struct cprof_builder_type *types =
		cprof_wait_profile_types(request->releases, request->all, &n_types, &default_type);
	struct cprof_error *err = cprof_session_new(run, types, n_types, &intake->session);
	if (!err)
		intake->process = cprof_session_process_at(intake->session, 0);
	if (!err)
		err = cprof_contexts_new(run, cprof_session_modules(intake->session),
					 &intake->contexts);
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

static struct cprof_wait_left_out all_left_out(const struct cprof_wait_intake *intake)
{
	struct cprof_wait_left_out all = { 0 };
	for (size_t i = 0; i < CPROF_WAIT_KIND_N; i++) {
		all.count += intake->left_out[i].count;
		all.delay_ns += intake->left_out[i].delay_ns;
	}
	return all;
}

/* " (condvar 12.1 s, futex 0.2 s)": all kinds that come to a hundredth of it. */
static void put_kinds(const struct cprof_wait_intake *intake, double delay_ns,
		      struct cprof_buffer *text)
{
	const char *joint = " (";
	for (size_t i = 0; i < CPROF_WAIT_KIND_N; i++) {
		const double kind_ns = intake->left_out[i].delay_ns;
		if (kind_ns <= 0 || kind_ns * 100 < delay_ns)
			continue;
		cprof_buffer_printf(text, "%s%s %.3f s", joint,
				    cprof_wait_kind_name((enum cprof_wait_kind)i), kind_ns / 1e9);
		joint = ", ";
	}
	cprof_buffer_puts(text, *joint == ',' ? ")" : "");
}

/* "12.3 s in 45 waits for work (condvar 12.1 s, futex 0.2 s) are not in the default view". */
static void put_left_out(const struct cprof_wait_intake *intake, struct cprof_buffer *text)
{
	const struct cprof_wait_left_out all = all_left_out(intake);
	cprof_buffer_printf(text, "%.3f s in %.0f waits for work", all.delay_ns / 1e9, all.count);
	put_kinds(intake, all.delay_ns, text);
	cprof_buffer_puts(text, " are not in the default view: cprof's sample_index parked_delay "
				"shows them");
}

/* "; of one in 17 the stack was taken, the others bear the last one alike". */
static void put_thinned(const struct cprof_wait_intake *intake, struct cprof_buffer *text)
{
	if (intake->stack_every > 1)
		cprof_buffer_printf(text,
				    "; so many that of one call in %" PRIu64
				    " only a stack was taken: the others bear that of the last "
				    "one of their thread at the same lock",
				    intake->stack_every);
}

static bool leaves_out(const struct cprof_wait_intake *intake)
{
	return !intake->request->releases && !intake->request->all &&
	       all_left_out(intake).count > 0;
}

/* Why the profile is empty, and where else to look. "" where it is not, or where what was left out is told anyway. */
static void put_nothing(const struct cprof_wait_intake *intake, struct cprof_buffer *text)
{
	const struct cprof_wait_left_out all = all_left_out(intake);
	const double window_s = (double)cprof_window_elapsed_ns(intake->run->window) / 1e9;
	if (intake->contended > 0 || (!intake->request->releases && all.count > 0))
		return;
	cprof_buffer_printf(text, "no thread waited for a lock in %.3g s", window_s);
	if (intake->request->releases && all.count > 0) {
		cprof_buffer_printf(text, "; %.0f wake-ups were of threads that waited for work",
				    all.count);
		put_kinds(intake, all.delay_ns, text);
		cprof_buffer_puts(text, ", which is no contention: -mode block shows them");
		return;
	}
	cprof_buffer_printf(
		text,
		"%s: all of the time is in -mode wall, where the threads are now in -mode threads",
		intake->request->all ? " or in another call" : "");
	if (!intake->request->releases && !intake->request->all)
		cprof_buffer_puts(text, ", waits in other calls in -mode block -block all");
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
	put_thinned(intake, &text);
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
	CPROF_AUTO(buffer) struct cprof_buffer thinned = { 0 };
	put_thinned(intake, &thinned);
	cprof_run_log_note(log, CPROF_NOTE_PLAIN, "waits by %s: %s%s", tier->name, tier->exactly,
			   cprof_buffer_text(&thinned));
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
	CPROF_AUTO(buffer) struct cprof_buffer nothing = { 0 };
	put_nothing(intake, &nothing);
	if (nothing.len && !intake->lost && !intake->run->threads)
		cprof_run_log_note(log, CPROF_NOTE_FACT, "%s", cprof_buffer_text(&nothing));
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
	cprof_contexts_tell(intake->contexts);
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
	struct waits *waits = ctx;
	struct cprof_wait_watch *watch = &waits->watch;
	struct cprof_error *err = cprof_wait_ring_cut(&waits->ring, watch);
	if (!err)
		err = cprof_wait_profile_fill(watch->intake);
	return err ? err : make_profile(watch->intake, watch->tier, ret_profile);
}

static struct cprof_error *run_with(struct cprof_wait_intake *intake,
				    struct cprof_profile **ret_profile)
{
	struct waits waits = { 0 };
	struct cprof_error *err = cprof_wait_watch_open(intake, &waits.watch);
	if (err)
		return err;
	err = cprof_wait_watch_look(&waits.watch);
	if (!err)
		err = run_window(&waits);
	cprof_wait_watch_close(&waits.watch);
	cprof_wait_ring_deinit(&waits.ring);
	*ret_profile = NULL;
	if (err || !cprof_snapshots_want_last(intake->run->window->snapshots))
		return err;
	err = cprof_wait_profile_fill(intake);
	if (err)
		return err;
	tell(intake, waits.watch.tier);
	return make_profile(intake, waits.watch.tier, ret_profile);
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
	cprof_time_spans_deinit(&intake.times);
	cprof_map64_deinit(&intake.threads);
	cprof_contexts_free(intake.contexts);
	cprof_wait_evidence_deinit(&intake.evidences);
	cprof_session_free(intake.session);
	return err;
}
