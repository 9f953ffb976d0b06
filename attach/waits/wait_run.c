#include "attach/waits/wait_intake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attach/waits/wait_edges.h"
#include "attach/waits/wait_profile.h"
#include "attach/locks/futex.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define EARLY_NS        1000000ull
#define PACE_NS         100000000ull /* how often the rate follows the load */
#define RATE_START_NS   100000ull
#define RATE_FLOOR_NS   1000ull
#define RATE_CEILING_NS 1000000000ull
#define STACKS_MAX      131072  /* distinct ones; waits beyond are added up without a stack */
#define RECORDS_PER_S   2000ull /* wanted: a few microseconds of the target each */

static const struct cprof_wait_tier *const tiers[] = {
	&cprof_wait_tier_bpf,
	&cprof_wait_tier_perf,
	&cprof_wait_tier_proc,
};
#define N_TIERS (sizeof(tiers) / sizeof(tiers[0]))

void cprof_wait_intake_find_owner(struct cprof_wait *wait)
{
	enum cprof_wait_kind kind = cprof_wait_kind_by_number(wait);
	if (kind == CPROF_WAIT_JOIN)
		wait->owner_tid = wait->futex_val;
	else if (kind == CPROF_WAIT_ROBUST_MUTEX)
		wait->owner_tid = cprof_futex_word_owner(wait->futex_val);
}

/*
 * An owner is a number that stood where owners stand, and one only if it is a
 * thread's of the target: asked while it lives. Its name is asked for then too.
 */
static void check_owner(struct cprof_wait_intake *intake, const struct cprof_wait *wait)
{
	char path[64];
	bool is_new;
	uint64_t *known = cprof_map64_put(&intake->threads, wait->owner_tid, &is_new);
	if (!known || !is_new)
		return;
	snprintf(path, sizeof(path), "/proc/%d/task/%u", (int)intake->process->target->pid,
		 wait->owner_tid);
	*known = access(path, F_OK) == 0;
	if (*known)
		cprof_process_thread_name(intake->process, (pid_t)wait->owner_tid);
}

struct cprof_error *cprof_wait_intake_walk(struct cprof_wait_intake *intake,
					   const struct cprof_session_sample *sample,
					   struct cprof_session_stack *ret_stack)
{
	struct cprof_error *err = NULL;
	/* A launched command: nobody told of its exec, but before that it waits for us and not for locks. */
	if (!intake->process->started)
		err = cprof_session_exec(intake->session, intake->process);
	return err ? err : cprof_session_walk(intake->session, sample, ret_stack);
}

struct cprof_error *cprof_wait_intake_add(struct cprof_wait_intake *intake,
					  const struct cprof_wait *wait,
					  const struct cprof_session_stack *stack,
					  uint32_t *ret_row)
{
	struct cprof_session_stack kept = *stack;
	uint32_t number;
	if (cprof_session_stacks(intake->session)->n_stacks >= STACKS_MAX)
		kept.n = 0;
	struct cprof_error *err = cprof_session_stack(intake->session, &kept, &number);
	if (!err)
		err = cprof_wait_table_add(&intake->table, wait, number, ret_row);
	if (err)
		return err;
	/* Names are asked for while the threads live; from then on they are known. */
	cprof_process_thread_name(intake->process, (pid_t)wait->tid);
	if (wait->owner_tid && cprof_wait_kind_has_owner(cprof_wait_kind_by_number(wait)))
		check_owner(intake, wait);
	intake->records++;
	intake->run->log->counts.samples++;
	return NULL;
}

struct cprof_error *cprof_wait_intake_take(struct cprof_wait_intake *intake,
					   const struct cprof_wait *wait,
					   const struct cprof_session_sample *sample,
					   uint32_t *ret_row)
{
	struct cprof_session_stack stack;
	struct cprof_error *err = cprof_wait_intake_walk(intake, sample, &stack);
	return err ? err : cprof_wait_intake_add(intake, wait, &stack, ret_row);
}

struct cprof_symbolizer_options cprof_wait_intake_symbolizer(const struct cprof_wait_intake *intake)
{
	/* Kinds go by the names that pprof shows, whatever the profile itself is to carry. */
	return (struct cprof_symbolizer_options){
		.demangle = CPROF_DEMANGLE_SHORT,
		.no_lines = true,
		.debuginfod = intake->run->naming.debuginfod,
		.cache_dir = intake->run->naming.cache_dir,
	};
}

uint64_t cprof_wait_intake_end_ns(const struct cprof_wait_intake *intake)
{
	const struct cprof_window *window = intake->run->window;
	return window->end == CPROF_WINDOW_OPEN ? UINT64_MAX : window->end_mono_ns;
}

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

static void pace(struct cprof_wait_intake *intake, const struct cprof_wait_tier *tier,
		 uint64_t *then_ns, uint64_t *records, uint64_t *lost)
{
	uint64_t now = cprof_clock_mono_ns();
	if (!intake->adaptive || !tier->thins || tier->mark_open || now - *then_ns < PACE_NS)
		return;
	intake->rate_ns = cprof_wait_pace_next(&intake->pace, intake->records - *records,
					       now - *then_ns, intake->lost - *lost);
	*then_ns = now;
	*records = intake->records;
	*lost = intake->lost;
}

static struct cprof_error *sample(struct cprof_wait_intake *intake,
				  const struct cprof_wait_tier *tier, void *state)
{
	struct cprof_window *window = intake->run->window;
	struct cprof_counts *counts = &intake->run->log->counts;
	CPROF_AUTO(free) struct pollfd *fds = calloc(CPROF_WAIT_TIER_FDS_MAX, sizeof(*fds));
	if (!fds)
		return cprof_error_no_memory();
	cprof_window_start(window);
	uint64_t then_ns = window->start_mono_ns, records = 0, lost = 0;
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
		pace(intake, tier, &then_ns, &records, &lost);
	}
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
		.pace = { .rate_ns = RATE_START_NS,
			  .floor_ns = RATE_FLOOR_NS,
			  .ceiling_ns = RATE_CEILING_NS,
			  .target_per_s = RECORDS_PER_S },
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
	if (intake->table.coarse)
		cprof_run_log_note(log, CPROF_NOTE_WARNING,
				   "%" PRIu64 " waits have no lock and thread labels: more than %d "
				   "distinct ones",
				   intake->table.coarse, CPROF_WAIT_TABLE_MAX);
}

static struct cprof_error *run_with(struct cprof_wait_intake *intake,
				    struct cprof_profile **ret_profile)
{
	const struct cprof_wait_tier *tier;
	void *state = NULL;
	struct cprof_error *err = open_tier(intake, &tier, &state);
	if (err)
		return err;
	err = sample(intake, tier, state);
	tier->close(state);
	if (!err)
		err = cprof_wait_profile_fill(intake);
	if (err)
		return err;
	tell(intake, tier);
	size_t n_types;
	const char *default_type;
	cprof_wait_profile_types(intake->request->releases, intake->request->all, &n_types,
				 &default_type);
	CPROF_AUTO(profile) struct cprof_profile *profile = NULL;
	err = cprof_session_finish(intake->session, "contentions", "count", 1, default_type,
				   &profile);
	if (!err)
		err = describe(intake, tier, profile);
	if (!err)
		*ret_profile = cprof_take_ptr(&profile);
	return err;
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
	cprof_session_free(intake.session);
	return err;
}
