/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_watch.h"

#include <string.h>

#include "attach/waits/wait_edges.h"
#include "base/clock.h"

#define EARLY_NS        1000000ull
#define PACE_NS         100000000ull /* how often the rate follows the load */
#define RATE_START_NS   100000ull
#define RATE_FLOOR_NS   1000ull
#define RATE_CEILING_NS 1000000000ull
#define RECORDS_PER_S   2000ull /* wanted: a few microseconds of the target each */

/* ---- choosing a tier ---- */

static const struct cprof_wait_tier *const tiers[] = {
	&cprof_wait_tier_bpf,
	&cprof_wait_tier_perf,
	&cprof_wait_tier_proc,
};
#define N_TIERS (sizeof(tiers) / sizeof(tiers[0]))

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

void cprof_wait_watch_rate(struct cprof_wait_intake *intake)
{
	const uint64_t rate_ns = intake->request->rate_ns;
	intake->adaptive = rate_ns == 0;
	intake->rate_ns = rate_ns ? rate_ns : RATE_START_NS;
	intake->rate_most_ns = intake->rate_ns;
}

struct cprof_error *cprof_wait_watch_open(struct cprof_wait_intake *intake,
					  struct cprof_wait_watch *ret_watch)
{
	const uint64_t wanted = intake->request->records_per_s;
	*ret_watch = (struct cprof_wait_watch){
		.intake = intake,
		.pace = { .rate_ns = intake->rate_ns,
			  .floor_ns = RATE_FLOOR_NS,
			  .ceiling_ns = RATE_CEILING_NS,
			  .target_per_s = wanted ? wanted : RECORDS_PER_S },
	};
	struct cprof_error *err = open_tier(intake, &ret_watch->tier, &ret_watch->state);
	if (err)
		return err;
	ret_watch->open = true;
	intake->tells_wakes = ret_watch->tier->tells_wakes;
	return NULL;
}

void cprof_wait_watch_close(struct cprof_wait_watch *watch)
{
	if (watch->open)
		watch->tier->close(watch->state);
	watch->open = false;
}

/* ---- watching ---- */

void cprof_wait_watch_start(struct cprof_wait_watch *watch)
{
	watch->paced_ns = watch->intake->run->window->start_mono_ns;
}

size_t cprof_wait_watch_fds(struct cprof_wait_watch *watch, struct pollfd *fds, size_t cap)
{
	return watch->tier->fds ? watch->tier->fds(watch->state, fds, cap) : 0;
}

uint64_t cprof_wait_watch_pause_ns(const struct cprof_wait_watch *watch)
{
	const struct cprof_wait_tier *tier = watch->tier;
	const uint64_t pause = tier->pause_ns ? tier->pause_ns(watch->state) : tier->drain_ns;
	/* A command may be short: its mappings are read at its first wait, and it must live then. */
	return !watch->intake->process->started && pause > EARLY_NS ? EARLY_NS : pause;
}

struct cprof_error *cprof_wait_watch_drain(struct cprof_wait_watch *watch)
{
	struct cprof_error *err = watch->tier->drain(watch->state);
	watch->intake->run->log->counts.lost = watch->intake->lost;
	return err;
}

void cprof_wait_watch_pace(struct cprof_wait_watch *watch)
{
	struct cprof_wait_intake *intake = watch->intake;
	const uint64_t now_ns = cprof_clock_mono_ns(), took_ns = now_ns - watch->paced_ns;
	/* Where waits are lost it is high time. */
	const uint64_t due_ns = intake->lost > watch->lost ? PACE_NS / 5 : PACE_NS;
	if (!intake->adaptive || !watch->tier->thins || watch->tier->mark_open || took_ns < due_ns)
		return;
	intake->rate_ns = cprof_wait_pace_next(&watch->pace, intake->records - watch->records,
					       took_ns, intake->lost - watch->lost);
	if (intake->rate_ns > intake->rate_most_ns)
		intake->rate_most_ns = intake->rate_ns;
	watch->paced_ns = now_ns;
	watch->records = intake->records;
	watch->lost = intake->lost;
}

struct cprof_error *cprof_wait_watch_end(struct cprof_wait_watch *watch)
{
	struct cprof_wait_intake *intake = watch->intake;
	const struct cprof_wait_tier *tier = watch->tier;
	struct cprof_error *err = NULL;
	if (!intake->request->releases)
		err = tier->mark_open ? tier->mark_open(watch->state)
				      : cprof_wait_edges_take(intake, tier, watch->state);
	if (!err && tier->tell)
		tier->tell(watch->state);
	return err;
}

struct cprof_error *cprof_wait_watch_place(struct cprof_wait_watch *watch,
					   const struct cprof_context_place *place)
{
	if (!watch->tier->set_place)
		return cprof_error_new(CPROF_ERR_UNSUPPORTED,
				       "with waits by %s nobody tells where a thread has its "
				       "thread-local variables (root, or CAP_BPF and CAP_PERFMON)",
				       watch->tier->name);
	watch->tier->set_place(watch->state, place);
	return NULL;
}

struct cprof_error *cprof_wait_watch_look(struct cprof_wait_watch *watch)
{
	struct cprof_wait_intake *intake = watch->intake;
	struct cprof_context_place place;
	bool is_new;
	struct cprof_error *err =
		cprof_contexts_look(intake->contexts, intake->process, &is_new, &place);
	if (err || !is_new)
		return err;
	err = cprof_wait_watch_place(watch, &place);
	if (err && err->code != CPROF_ERR_NO_MEMORY) {
		cprof_contexts_refused(intake->contexts, err);
		err = NULL;
	}
	return err;
}
