/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_events.h"

#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/locks/futex.h"
#include "attach/perf/perf_event.h"
#include "attach/waits/wait_event_set.h"
#include "base/clock.h"

/* Others' calls that the filter let through: beyond so many it is made anew, not more often than this. */
#define FOREIGN_MOST 2000
#define REFRESH_NS   (CPROF_NS_PER_S / 10)

struct cprof_wait_events {
	struct cprof_wait_event_set set;
	struct ring {
		const struct perf_event_header *next;
		uint64_t next_ns;
	} * rings;  /* owned; one per CPU */
	int own_fd; /* counts our own calls */
	uint64_t lost, foreign, refreshed_ns;
	bool left_out; /* a thread of the target that the filter knows nothing of */
};

/* ---- opening ---- */

static int open_own(const struct cprof_wait_events *events)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = events->set.points.enter_futex,
		.sample_type = PERF_SAMPLE_RAW,
		.exclude_kernel = 1,
	};
	return cprof_perf_event_open(&attr, 0, -1, -1);
}

struct cprof_error *cprof_wait_events_open(const struct cprof_target *target,
					   const struct cprof_wait_events_options *options,
					   struct cprof_wait_events **ret)
{
	struct cprof_wait_events *events = calloc(1, sizeof(*events));
	if (!events)
		return cprof_error_no_memory();
	*events = (struct cprof_wait_events){
		.set = { .target = target,
			 .releases = options->releases,
			 .stack_bytes = options->stack_bytes },
		.own_fd = -1,
	};
	struct cprof_error *err = cprof_wait_event_set_open(&events->set, options->each_thread);
	if (!err) {
		events->rings = calloc(events->set.n_cpus, sizeof(*events->rings));
		err = events->rings ? NULL : cprof_error_no_memory();
	}
	if (err) {
		cprof_wait_events_close(events);
		return err;
	}
	events->own_fd = open_own(events);
	*ret = events;
	return NULL;
}

void cprof_wait_events_close(struct cprof_wait_events *events)
{
	if (!events)
		return;
	if (events->own_fd >= 0)
		close(events->own_fd);
	cprof_wait_event_set_close(&events->set);
	free(events->rings);
	free(events);
}

struct cprof_error *cprof_wait_events_look(struct cprof_wait_events *events)
{
	return cprof_wait_event_set_look(&events->set);
}

void cprof_wait_events_thin(struct cprof_wait_events *events, uint64_t period)
{
	cprof_wait_event_set_thin(&events->set, period);
}

bool cprof_wait_events_wide(const struct cprof_wait_events *events)
{
	return events->set.wide;
}

/* ---- reading ---- */

size_t cprof_wait_events_fds(const struct cprof_wait_events *events, struct pollfd *fds, size_t cap)
{
	size_t n = 0;
	for (; n < events->set.n_rings && n < cap; n++)
		fds[n] = (struct pollfd){ .fd = events->set.rings[n]->fd, .events = POLLIN };
	return n;
}

/* include/trace/events/syscalls.h: common fields of 8 bytes, the number, then arguments or result of 8 each. */
struct raw_enter {
	uint16_t type;
	uint8_t flags, preempt;
	int32_t pid;
	int32_t nr, pad;
	uint64_t args[5];
};
struct raw_exit {
	uint16_t type;
	uint8_t flags, preempt;
	int32_t pid;
	int32_t nr, pad;
	int64_t ret;
};

static bool decode(const void *raw, size_t n_raw, int32_t nr, uint64_t enter_id, uint64_t exit_id,
		   struct cprof_wait_events_call *ret)
{
	struct raw_enter enter;
	struct raw_exit exit_call;
	uint16_t type;
	if (n_raw < sizeof(exit_call))
		return false;
	memcpy(&type, raw, sizeof(type));
	if (type == exit_id) {
		memcpy(&exit_call, raw, sizeof(exit_call));
		ret->kind = CPROF_WAIT_EVENTS_EXIT;
		ret->ret = exit_call.ret;
		return exit_call.nr == nr;
	}
	if (type != enter_id || n_raw < sizeof(enter))
		return false;
	memcpy(&enter, raw, sizeof(enter));
	ret->kind = CPROF_WAIT_EVENTS_ENTER;
	ret->addr = enter.args[0];
	ret->op = (uint32_t)enter.args[1];
	ret->val = (uint32_t)enter.args[2];
	ret->n = (uint32_t)enter.args[3];
	ret->to = enter.args[4];
	return enter.nr == nr;
}

bool cprof_wait_events_decode(const void *raw, size_t n_raw, uint64_t enter_id, uint64_t exit_id,
			      struct cprof_wait_events_call *ret)
{
	return decode(raw, n_raw, SYS_futex, enter_id, exit_id, ret);
}

bool cprof_wait_events_decode_waitv(const void *raw, size_t n_raw, uint64_t enter_id,
				    uint64_t exit_id, struct cprof_wait_events_call *ret)
{
	if (!decode(raw, n_raw, SYS_futex_waitv, enter_id, exit_id, ret))
		return false;
	ret->op = CPROF_WAIT_PAIR_WAITV;
	ret->val = 0;
	return true;
}

static bool decode_any(const struct cprof_wait_events *events,
		       const struct cprof_perf_record *record, struct cprof_wait_events_call *ret)
{
	const struct cprof_futex_tracepoints *points = &events->set.points;
	return cprof_wait_events_decode(record->sample.raw, record->sample.n_raw,
					points->enter_futex, points->exit_futex, ret) ||
	       (events->set.waitv &&
		cprof_wait_events_decode_waitv(record->sample.raw, record->sample.n_raw,
					       points->enter_waitv, points->exit_waitv, ret));
}

/* Neither sleeps nor wakes, or nobody knows. */
static bool is_other(const struct cprof_wait_events_call *call)
{
	const struct cprof_futex_op *op = cprof_futex_op(call->op);
	return call->kind == CPROF_WAIT_EVENTS_ENTER && call->op != CPROF_WAIT_PAIR_WAITV &&
	       (!op || op->role == CPROF_FUTEX_OTHER);
}

/* A sample of the process or somebody else's, which the filter could not tell from its own. */
static struct cprof_error *hand_out_sample(struct cprof_wait_events *events,
					   const struct perf_event_header *header,
					   struct cprof_perf_record *record,
					   cprof_wait_events_fn *fn, void *ctx)
{
	struct cprof_wait_events_call call = { .tid = record->tid, .time_ns = record->time_ns };
	if (record->pid != (uint32_t)events->set.target->pid) {
		events->foreign++;
		return NULL;
	}
	if (!decode_any(events, record, &call) || is_other(&call))
		return NULL;
	/* Both layouts begin alike: where something is left, it is registers and stack. */
	const char *rest = (const char *)record->sample.raw + record->sample.n_raw;
	struct cprof_error *err = NULL;
	if (rest < (const char *)header + header->size) {
		err = cprof_perf_record_decode(&events->set.heavy, header, record);
		call.has_stack = true;
	}
	call.record = record;
	return err ? err : fn(ctx, &call);
}

static struct cprof_error *hand_out(struct cprof_wait_events *events,
				    const struct perf_event_header *header,
				    cprof_wait_events_fn *fn, void *ctx)
{
	struct cprof_perf_record record;
	struct cprof_error *err = cprof_perf_record_decode(&events->set.light, header, &record);
	if (err)
		return err;
	const bool ours = record.pid == (uint32_t)events->set.target->pid;
	const struct cprof_wait_events_call ended = { .kind = CPROF_WAIT_EVENTS_ENDED,
						      .tid = record.tid,
						      .time_ns = record.time_ns };
	switch (record.kind) {
	case CPROF_PERF_LOST:
		events->lost += record.lost;
		return NULL;
	case CPROF_PERF_FORK:
		events->left_out |= ours && events->set.wide &&
				    !cprof_thread_runs_has(&events->set.runs, record.tid);
		return NULL;
	case CPROF_PERF_EXIT:
		return ours ? fn(ctx, &ended) : NULL;
	case CPROF_PERF_SAMPLE:
		return hand_out_sample(events, header, &record, fn, ctx);
	default:
		return NULL;
	}
}

static struct cprof_error *peek(struct cprof_wait_events *events, size_t at)
{
	struct ring *ring = &events->rings[at];
	struct cprof_error *err = cprof_perf_ring_peek(&events->set.rings[at]->ring, &ring->next);
	if (!err && ring->next)
		ring->next_ns = cprof_perf_record_time(&events->set.light, ring->next);
	return err;
}

/* The ring whose next record is the oldest; their number where none has one. */
static size_t find_oldest(const struct cprof_wait_events *events)
{
	const size_t n = events->set.n_rings;
	size_t oldest = n;
	for (size_t i = 0; i < n; i++) {
		const struct ring *ring = &events->rings[i];
		if (ring->next && (oldest == n || ring->next_ns < events->rings[oldest].next_ns))
			oldest = i;
	}
	return oldest;
}

struct cprof_error *cprof_wait_events_drain(struct cprof_wait_events *events, uint64_t until_ns,
					    cprof_wait_events_fn *fn, void *ctx)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < events->set.n_rings; i++) {
		cprof_perf_ring_begin(&events->set.rings[i]->ring);
		err = peek(events, i);
	}
	while (!err) {
		const size_t oldest = find_oldest(events);
		if (oldest == events->set.n_rings || events->rings[oldest].next_ns > until_ns)
			break;
		err = hand_out(events, events->rings[oldest].next, fn, ctx);
		cprof_perf_ring_consume(&events->set.rings[oldest]->ring);
		if (!err)
			err = peek(events, oldest);
	}
	return err;
}

struct cprof_error *cprof_wait_events_refresh(struct cprof_wait_events *events)
{
	const uint64_t now_ns = cprof_clock_mono_ns();
	const bool crowded =
		events->foreign > FOREIGN_MOST && now_ns - events->refreshed_ns > REFRESH_NS;
	if (!crowded && !events->left_out)
		return NULL;
	events->left_out = false;
	events->foreign = 0;
	events->refreshed_ns = now_ns;
	return cprof_wait_event_set_refresh(&events->set);
}

uint64_t cprof_wait_events_lost(const struct cprof_wait_events *events)
{
	return events->lost;
}

bool cprof_wait_events_see(const struct cprof_wait_events *events)
{
	uint64_t before, after;
	uint32_t word = 0;
	if (events->own_fd < 0 ||
	    read(events->own_fd, &before, sizeof(before)) != (ssize_t)sizeof(before))
		return true; /* no means to tell */
	syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	return read(events->own_fd, &after, sizeof(after)) != (ssize_t)sizeof(after) ||
	       after > before;
}
