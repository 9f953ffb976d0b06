/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The perf tier: entries and returns of futex calls by perf, paired here. Every wait is seen, none is thinned; what
 * the rings have no room for is lost and counted. Stacks are thinned where there are very many waits: wait_stacks.h.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/waits/wait_edges.h"
#include "attach/waits/wait_events.h"
#include "attach/waits/wait_long.h"
#include "attach/waits/wait_pair.h"
#include "attach/waits/wait_stacks.h"
#include "attach/waits/wait_tier.h"
#include "base/array.h"
#include "base/clock.h"

/* A user's rings are small (kernel.perf_event_mlock_kb); the walk goes on in the live process anyhow. */
#define STACK_BYTES_ROOT 4096u
#define STACK_BYTES_USER 2048u
#define SETTLE_NS        1000000ull /* records of this age have arrived in every ring */
#define WORDS_READ       16
#define LOOK_NS          CPROF_NS_PER_S
#define THIN_NS          (CPROF_NS_PER_S / 10)
#define STACKS_PER_S     4000 /* that are taken at most, about */
#define STACKS_FOR_SURE  200
#define UNPLACED_MAX     4096

/* Of which one call each brings a stack: no rhythm of a program's calls goes together with a prime number. */
static const uint32_t periods[] = { 1, 3, 7, 17, 41, 97, 251, 601, 1499 };
#define N_PERIODS (sizeof(periods) / sizeof(periods[0]))

struct perf_tier {
	struct cprof_wait_intake *intake; /* borrowed */
	struct cprof_wait_events *events; /* owned */
	struct cprof_wait_pair pair;
	struct cprof_wait_stacks stacks;
	struct cprof_wait_long long_waits;
	struct cprof_wait *unplaced; /* owned; waits that nobody's stack is alike yet */
	size_t n_unplaced, cap_unplaced;
	uint64_t lost_told, checked_ns;
	size_t period;                     /* in `periods` */
	uint64_t thinned_ns, stacks_taken; /* since then */
};

static void close_tier(void *state)
{
	struct perf_tier *tier = state;
	cprof_wait_events_close(tier->events);
	cprof_wait_pair_deinit(&tier->pair);
	cprof_wait_stacks_deinit(&tier->stacks);
	cprof_wait_long_deinit(&tier->long_waits);
	free(tier->unplaced);
	free(tier);
}

/* Its return will be told, its entry was before our time. */
static void put_sleeper(void *ctx, const struct cprof_wait_edges_sleeper *sleeper)
{
	struct perf_tier *tier = ctx;
	if (sleeper->nr != SYS_futex)
		return;
	cprof_error_free(cprof_wait_pair_enter(&tier->pair, (uint32_t)sleeper->tid, sleeper->now_ns,
					       sleeper->addr, sleeper->op, sleeper->val));
}

static struct cprof_error *open_tier(struct cprof_wait_intake *intake, void **ret_state)
{
	struct cprof_error *err = cprof_perf_host_check_clock();
	if (err)
		return err;
	struct perf_tier *tier = calloc(1, sizeof(*tier));
	if (!tier)
		return cprof_error_no_memory();
	tier->intake = intake;
	tier->pair.releases = intake->request->releases;
	uint64_t bytes = geteuid() == 0 ? STACK_BYTES_ROOT : STACK_BYTES_USER;
	if (intake->request->stack_bytes < bytes)
		bytes = intake->request->stack_bytes;
	const struct cprof_wait_events_options options = {
		.releases = intake->request->releases,
		.stack_bytes = (uint32_t)bytes,
	};
	err = cprof_wait_events_open(intake->process->target, &options, &tier->events);
	if (err) {
		close_tier(tier);
		return err;
	}
	if (!intake->request->releases)
		cprof_wait_edges_before(intake, put_sleeper, tier);
	tier->thinned_ns = cprof_clock_mono_ns();
	*ret_state = tier;
	return NULL;
}

/*
 * What the word has become, read a little late: tells a lock from a counter. A few readings for each word that may be a lock's
 * do, each costs a system call.
 */
static void read_word_after(struct perf_tier *tier, struct cprof_wait *wait)
{
	struct cprof_wait_intake *intake = tier->intake;
	if (wait->futex_val > 3 ||
	    cprof_wait_evidence_get(&intake->evidences, wait->addr)->words >= WORDS_READ)
		return;
	wait->has_word = cprof_target_mem_read(&intake->process->mem, wait->addr, &wait->word,
					       sizeof(wait->word));
}

/* ---- stacks ---- */

/* A wait with the stack that it brought. */
static struct cprof_error *take_with_stack(struct perf_tier *tier, const struct cprof_wait *wait,
					   const struct cprof_perf_record *record)
{
	struct cprof_regs regs;
	uint32_t row;
	cprof_arch_regs_from_perf(cprof_arch_host(), record->sample.regs, &regs);
	const struct cprof_session_sample sample = {
		.process = tier->intake->process,
		.regs = &regs,
		.stack_addr = regs.r[cprof_arch_host()->sp],
		.stack = record->sample.stack,
		.n_stack = record->sample.n_stack,
		.live = true,
	};
	struct cprof_error *err = cprof_wait_intake_take(tier->intake, wait, &sample, &row);
	return err ? err : cprof_wait_stacks_note(&tier->stacks, wait, row);
}

/*
 * One return in so many, that there are not more stacks than we can walk. Records of before `until_ns` have been handed out; a storm is known as one
 * long before the time is up.
 */
static void thin(struct perf_tier *tier, uint64_t until_ns)
{
	size_t period = tier->period;
	if (!tier->intake->adaptive || until_ns <= tier->thinned_ns)
		return;
	const uint64_t took_ns = until_ns - tier->thinned_ns;
	if (took_ns < THIN_NS && tier->stacks_taken < STACKS_FOR_SURE)
		return;
	const uint64_t calls_per_s =
		tier->stacks_taken * periods[period] * CPROF_NS_PER_S / took_ns;
	while (period + 1 < N_PERIODS && calls_per_s / periods[period] > STACKS_PER_S)
		period++;
	if (took_ns >= THIN_NS && period > 0 &&
	    calls_per_s / periods[period - 1] < STACKS_PER_S / 2)
		period--;
	tier->thinned_ns = until_ns;
	tier->stacks_taken = 0;
	if (periods[period] > tier->intake->stack_every)
		tier->intake->stack_every = periods[period];
	if (period == tier->period)
		return;
	tier->period = period;
	cprof_wait_events_thin(tier->events, periods[period]);
	tier->thinned_ns = cprof_clock_mono_ns(); /* what was on its way is of the old one */
}

/* Those that nobody was alike when they ended, once more; at the end as they are. */
static struct cprof_error *place(struct perf_tier *tier, bool over)
{
	struct cprof_error *err = NULL;
	size_t n = 0;
	for (size_t i = 0; !err && i < tier->n_unplaced; i++) {
		const struct cprof_wait *wait = &tier->unplaced[i];
		const uint32_t row = cprof_wait_stacks_find(&tier->stacks, wait);
		if (row == CPROF_WAIT_STACKS_NONE && !over)
			tier->unplaced[n++] = *wait;
		else
			err = cprof_wait_intake_take_alike(tier->intake, wait, row);
	}
	if (!err)
		tier->n_unplaced = n;
	return err;
}

static struct cprof_error *take_without_stack(struct perf_tier *tier, const struct cprof_wait *wait)
{
	const uint32_t row = cprof_wait_stacks_find(&tier->stacks, wait);
	if (row != CPROF_WAIT_STACKS_NONE || tier->n_unplaced == UNPLACED_MAX)
		return cprof_wait_intake_take_alike(tier->intake, wait, row);
	if (!CPROF_ARRAY_ROOM(tier->unplaced, tier->n_unplaced, tier->cap_unplaced, 1))
		return cprof_error_no_memory();
	tier->unplaced[tier->n_unplaced++] = *wait;
	return NULL;
}

/* ---- waits ---- */

static struct cprof_error *take_wait(struct perf_tier *tier,
				     const struct cprof_wait_events_call *call,
				     struct cprof_wait *wait)
{
	if (call->has_stack && (!call->record->sample.regs || call->record->sample.regs_32bit))
		return NULL;
	read_word_after(tier, wait);
	cprof_wait_intake_find_owner(wait);
	return call->has_stack ? take_with_stack(tier, wait, call->record)
			       : take_without_stack(tier, wait);
}

static struct cprof_error *enter(struct perf_tier *tier, const struct cprof_wait_events_call *call)
{
	struct cprof_error *err = cprof_wait_pair_enter(&tier->pair, call->tid, call->time_ns,
							call->addr, call->op, call->val);
	return err ? err : cprof_wait_pair_requeue(&tier->pair, call->tid, call->to, call->n);
}

static struct cprof_error *leave(struct perf_tier *tier, const struct cprof_wait_events_call *call)
{
	/* We come late where the machine is busy: what was open at the window's end counts up to there. */
	const uint64_t end_ns = cprof_wait_intake_end_ns(tier->intake);
	const bool late = call->time_ns > end_ns;
	struct cprof_wait waits[CPROF_WAIT_PAIR_PARTS];
	const unsigned n = cprof_wait_pair_exit(&tier->pair, call->tid,
						late ? end_ns : call->time_ns, call->ret, waits);
	struct cprof_error *err = NULL;
	tier->stacks_taken += call->has_stack && call->time_ns > tier->thinned_ns;
	for (unsigned i = 0; !err && i < n; i++) {
		waits[i].open = late && i == n - 1;
		err = take_wait(tier, call, &waits[i]);
	}
	return err;
}

static struct cprof_error *take_call(void *ctx, const struct cprof_wait_events_call *call)
{
	struct perf_tier *tier = ctx;
	if (call->time_ns > cprof_wait_intake_end_ns(tier->intake) &&
	    tier->intake->request->releases)
		return NULL;
	/* A wait that begins after the end is told too, or it would be taken for one that was open then: see since(). */
	switch (call->kind) {
	case CPROF_WAIT_EVENTS_ENTER:
		return enter(tier, call);
	case CPROF_WAIT_EVENTS_EXIT:
		return leave(tier, call);
	case CPROF_WAIT_EVENTS_ENDED:
		cprof_wait_pair_ended(&tier->pair, call->tid, call->time_ns);
		return NULL;
	}
	return NULL;
}

static void follow_waitv(struct perf_tier *tier)
{
	struct cprof_error *err = cprof_wait_events_look(tier->events);
	if (err)
		cprof_run_log_note(tier->intake->run->log, CPROF_NOTE_WARNING,
				   "waits in futex_waitv are not followed: %s", err->message);
	cprof_error_free(err);
}

/* The events that there are go on. */
static void refresh(struct perf_tier *tier)
{
	struct cprof_error *err = cprof_wait_events_refresh(tier->events);
	if (err)
		cprof_run_log_note(tier->intake->run->log, CPROF_NOTE_WARNING,
				   "waits of the newest threads may be missing: %s", err->message);
	cprof_error_free(err);
}

static void look_around(struct perf_tier *tier, uint64_t now_ns)
{
	if (now_ns - tier->checked_ns < LOOK_NS)
		return;
	tier->checked_ns = now_ns;
	follow_waitv(tier);
	if (!cprof_wait_events_see(tier->events))
		cprof_run_log_note(
			tier->intake->run->log, CPROF_NOTE_WARNING,
			"a BPF program of somebody else hides futex calls from perf (its "
			"program on syscalls:sys_enter_futex returns 0): waits are missing");
}

/* Past the page that a walk may have kept: owners change. */
static bool read_word(void *ctx, uint64_t addr, void *buf, size_t n)
{
	return cprof_target_mem_read(ctx, addr, buf, n);
}

static struct cprof_error *drain(void *state)
{
	struct perf_tier *tier = state;
	uint64_t now_ns = cprof_clock_mono_ns();
	const bool over = tier->intake->run->window->end != CPROF_WINDOW_OPEN;
	tier->pair.from_ns = tier->intake->run->window->start_mono_ns;
	look_around(tier, now_ns);
	const uint64_t until_ns = over ? UINT64_MAX : now_ns - SETTLE_NS;
	struct cprof_error *err = cprof_wait_events_drain(tier->events, until_ns, take_call, tier);
	const struct cprof_memory memory = { .read = read_word,
					     .ctx = &tier->intake->process->mem };
	if (!err && !tier->intake->request->releases)
		cprof_wait_pair_read_owners(&tier->pair, &memory);
	if (!err && tier->period && !over)
		err = cprof_wait_long_look(&tier->long_waits, tier->intake, &tier->pair,
					   &tier->stacks, now_ns);
	if (!err)
		err = place(tier, over);
	if (!over) {
		thin(tier, until_ns);
		refresh(tier);
	}
	uint64_t lost = cprof_wait_events_lost(tier->events);
	tier->intake->lost += lost - tier->lost_told;
	tier->lost_told = lost;
	return err;
}

static size_t fds(void *state, struct pollfd *fds, size_t cap)
{
	const struct perf_tier *tier = state;
	return cprof_wait_events_fds(tier->events, fds, cap);
}

static bool since(void *state, uint32_t tid, uint64_t *ret_mono_ns)
{
	const struct perf_tier *tier = state;
	/* Whose entry is lost, or comes just now, has not been asleep from the window's start on. */
	if (!cprof_wait_pair_since(&tier->pair, tid, ret_mono_ns))
		*ret_mono_ns = UINT64_MAX;
	return true;
}

static void each_row(void *state, void (*fn)(void *ctx, uint32_t *row), void *ctx)
{
	struct perf_tier *tier = state;
	cprof_wait_stacks_each_row(&tier->stacks, fn, ctx);
}

static void tell(void *state)
{
	const struct perf_tier *tier = state;
	cprof_run_log_note(tier->intake->run->log, CPROF_NOTE_DETAIL,
			   cprof_wait_events_wide(tier->events)
				   ? "events of each CPU, filtered by thread"
				   : "events of each thread");
}

const struct cprof_wait_tier cprof_wait_tier_perf = {
	.name = "perf",
	.exactly = "from the futex call's entry to the wake on its address, else to its return",
	.tells_releases = true,
	.tells_wakes = true,
	.tells_all = false,
	.drain_ns = 20000000,
	.open = open_tier,
	.close = close_tier,
	.fds = fds,
	.drain = drain,
	.since = since,
	.each_row = each_row,
	.tell = tell,
};
