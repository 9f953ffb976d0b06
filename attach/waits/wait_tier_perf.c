/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The perf tier: entries and returns of futex calls by perf, paired here. Every wait is seen, none is thinned; what
 * the rings have no room for is lost and counted.
 */
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/waits/wait_edges.h"
#include "attach/waits/wait_events.h"
#include "attach/waits/wait_pair.h"
#include "attach/waits/wait_tier.h"
#include "base/clock.h"

/* A user's rings are small (kernel.perf_event_mlock_kb); the walk goes on in the live process anyhow. */
#define STACK_BYTES_ROOT 4096u
#define STACK_BYTES_USER 2048u
#define SETTLE_NS        1000000ull /* records of this age have arrived in every ring */
#define WORDS_READ       16
#define LOOK_NS          CPROF_NS_PER_S

struct perf_tier {
	struct cprof_wait_intake *intake; /* borrowed */
	struct cprof_wait_events *events; /* owned */
	struct cprof_wait_pair pair;
	uint64_t lost_told, checked_ns;
};

static void close_tier(void *state)
{
	struct perf_tier *tier = state;
	cprof_wait_events_close(tier->events);
	cprof_wait_pair_deinit(&tier->pair);
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
	err = cprof_wait_events_open(intake->process->target, intake->request->releases,
				     (uint32_t)bytes, &tier->events);
	if (err) {
		close_tier(tier);
		return err;
	}
	if (!intake->request->releases)
		cprof_wait_edges_before(intake, put_sleeper, tier);
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

static struct cprof_error *take_wait(struct perf_tier *tier,
				     const struct cprof_wait_events_call *call,
				     struct cprof_wait *wait)
{
	struct cprof_regs regs;
	if (!call->record->sample.regs || call->record->sample.regs_32bit)
		return NULL;
	read_word_after(tier, wait);
	cprof_wait_intake_find_owner(wait);
	cprof_arch_regs_from_perf(cprof_arch_host(), call->record->sample.regs, &regs);
	const struct cprof_session_sample sample = {
		.process = tier->intake->process,
		.regs = &regs,
		.stack_addr = regs.r[cprof_arch_host()->sp],
		.stack = call->record->sample.stack,
		.n_stack = call->record->sample.n_stack,
		.live = true,
	};
	return cprof_wait_intake_take(tier->intake, wait, &sample, NULL);
}

static struct cprof_error *enter(struct perf_tier *tier, const struct cprof_wait_events_call *call)
{
	struct cprof_error *err = cprof_wait_pair_enter(&tier->pair, call->tid, call->time_ns,
							call->addr, call->op, call->val);
	return err ? err : cprof_wait_pair_requeue(&tier->pair, call->tid, call->to, call->n);
}

static struct cprof_error *take_call(void *ctx, const struct cprof_wait_events_call *call)
{
	struct perf_tier *tier = ctx;
	/* We come late where the machine is busy: what was open at the window's end counts up to there. */
	const uint64_t end_ns = cprof_wait_intake_end_ns(tier->intake);
	const bool late = call->time_ns > end_ns;
	if (late && tier->intake->request->releases)
		return NULL;
	/* A wait that begins after the end is told too, or it would be taken for one that was open then: see since(). */
	if (call->kind == CPROF_WAIT_EVENTS_ENTER)
		return enter(tier, call);
	if (call->kind == CPROF_WAIT_EVENTS_ENDED) {
		cprof_wait_pair_ended(&tier->pair, call->tid, call->time_ns);
		return NULL;
	}
	struct cprof_wait waits[CPROF_WAIT_PAIR_PARTS];
	const unsigned n = cprof_wait_pair_exit(&tier->pair, call->tid,
						late ? end_ns : call->time_ns, call->ret, waits);
	struct cprof_error *err = NULL;
	for (unsigned i = 0; !err && i < n; i++) {
		waits[i].open = late && i == n - 1;
		err = take_wait(tier, call, &waits[i]);
	}
	return err;
}

static void follow_waitv(struct perf_tier *tier)
{
	struct cprof_error *err = cprof_wait_events_look(tier->events);
	if (err)
		cprof_run_log_note(tier->intake->run->log, CPROF_NOTE_WARNING,
				   "waits in futex_waitv are not followed: %s", err->message);
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
	struct cprof_error *err = cprof_wait_events_drain(
		tier->events, over ? UINT64_MAX : now_ns - SETTLE_NS, take_call, tier);
	const struct cprof_memory memory = { .read = read_word,
					     .ctx = &tier->intake->process->mem };
	if (!err && !tier->intake->request->releases)
		cprof_wait_pair_read_owners(&tier->pair, &memory);
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
};
