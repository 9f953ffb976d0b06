/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_events.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "attach/locks/futex.h"
#include "attach/perf/perf_event.h"
#include "attach/perf/perf_host.h"
#include "attach/target/thread_proc.h"
#include "attach/waits/futex_tracepoint.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "cprof/arch.h"
#include "cprof/hash.h"

/* Of all CPUs together; a storm of waits on two of them wants as much as it can get. */
#define RINGS_BYTES ((size_t)64 << 20)
#define RING_MOST   ((size_t)32 << 20)
#define RING_FEW    ((size_t)2 << 20) /* but for a user's limit of locked memory never less */
#define RING_LEAST  ((size_t)64 << 10)
#define WAITV_LOOKS 64
#define ROUNDS_MAX  10 /* of reading the list of threads until it has nobody new */
#define THREADS_MAX                                                                                \
	65536 /* with two events per CPU each this is far beyond any limit of open files */

struct cprof_wait_events {
	const struct cprof_target *target; /* borrowed */
	struct cprof_futex_tracepoints points;
	bool releases, inherit_thread;
	bool waitv; /* followed too */
	uint32_t stack_bytes;
	struct cprof_perf_layout light, heavy;
	int *cpus; /* owned */
	size_t n_cpus;
	struct ring {
		struct cprof_perf_event_ring *event; /* owned */
		const struct perf_event_header *next;
		uint64_t next_ns;
	} * rings; /* owned; one per CPU */
	size_t n_rings;
	int *fds; /* owned; events that write into those rings */
	size_t n_fds, cap_fds;
	struct cprof_map64 followed; /* thread ids */
	struct cprof_map64 followed_waitv;
	size_t looked; /* threads that were looked at for futex_waitv */
	int own_fd;    /* counts our own calls */
	uint64_t lost;
};

/* ---- opening ---- */

static size_t ring_bytes(const struct cprof_wait_events *events)
{
	size_t bytes = RING_MOST;
	while (bytes > RING_FEW && bytes * events->n_cpus > RINGS_BYTES)
		bytes /= 2;
	return bytes;
}

static struct perf_event_attr make_attr(const struct cprof_wait_events *events, uint64_t id)
{
	return (struct perf_event_attr){
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(struct perf_event_attr),
		.config = id,
		.sample_period = 1,
		.sample_type = events->light.sample_type,
		.exclude_kernel =
			1, /* what an ordinary user may ask for; the registers are the user's anyhow */
		.inherit = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.watermark = 1,
		.wakeup_watermark =
			(uint32_t)(geteuid() == 0 ? ring_bytes(events) / 4 : RING_LEAST),
	};
}

static struct cprof_error *keep_fd(struct cprof_wait_events *events, int fd)
{
	if (!CPROF_ARRAY_ROOM(events->fds, events->n_fds, events->cap_fds, 1)) {
		close(fd);
		return cprof_error_no_memory();
	}
	events->fds[events->n_fds++] = fd;
	return NULL;
}

/* Open, filter, and send to the CPU's ring; the first event of a CPU becomes its ring. */
static struct cprof_error *open_one(struct cprof_wait_events *events, struct perf_event_attr *attr,
				    pid_t tid, size_t cpu, const char *filter)
{
	int fd = cprof_perf_event_open(attr, tid, events->cpus[cpu], -1);
	if (fd < 0)
		return cprof_perf_event_refused(errno, "futex tracepoint");
	struct cprof_error *err = NULL;
	if (filter && ioctl(fd, PERF_EVENT_IOC_SET_FILTER, filter) < 0)
		err = cprof_error_os(errno, "filter futex calls by \"%s\"", filter);
	if (!err && cpu == events->n_rings) {
		err = cprof_perf_event_map(fd, ring_bytes(events), RING_LEAST,
					   &events->rings[events->n_rings].event);
		if (!err) {
			events->n_rings++;
			return NULL;
		}
	}
	if (!err && ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, events->rings[cpu].event->fd) < 0)
		err = cprof_error_os(errno, "share a ring");
	if (err) {
		close(fd);
		return err;
	}
	return keep_fd(events, fd);
}

/* Its return is the index of the word that was woken, or an error. */
static struct cprof_error *open_waitv(struct cprof_wait_events *events, pid_t tid, size_t cpu)
{
	struct perf_event_attr attr = make_attr(events, events->points.enter_waitv);
	struct cprof_error *err = open_one(events, &attr, tid, cpu, NULL);
	if (err)
		return err;
	attr = make_attr(events, events->points.exit_waitv);
	attr.sample_type = events->heavy.sample_type;
	attr.sample_regs_user = cprof_arch_host()->perf_regs_mask;
	attr.sample_stack_user = events->stack_bytes;
	return open_one(events, &attr, tid, cpu, "ret != -11");
}

static struct cprof_error *open_thread(struct cprof_wait_events *events, pid_t tid)
{
	CPROF_AUTO(buffer) struct cprof_buffer enter_filter = { 0 };
	cprof_futex_filter(true, true, &enter_filter);
	struct cprof_error *err = cprof_buffer_error(&enter_filter);
	for (size_t cpu = 0; !err && cpu < events->n_cpus; cpu++) {
		struct perf_event_attr attr = make_attr(events, events->points.enter_futex);
		attr.task = 1; /* tell threads' ends */
		err = open_one(events, &attr, tid, cpu, cprof_buffer_text(&enter_filter));
		if (err)
			break;
		/* Waits return 0 or an error, wakes how many they woke; UNLOCK_PI returns 0 too. */
		attr = make_attr(events, events->points.exit_futex);
		attr.sample_type = events->heavy.sample_type;
		attr.sample_regs_user = cprof_arch_host()->perf_regs_mask;
		attr.sample_stack_user = events->stack_bytes;
		err = open_one(events, &attr, tid, cpu,
			       events->releases ? "ret >= 0" : "ret <= 0 && ret != -11");
		if (!err && events->waitv)
			err = open_waitv(events, tid, cpu);
		if (err || !events->releases)
			continue;
		attr = make_attr(events, events->points.exit_futex);
		err = open_one(events, &attr, tid, cpu, "ret < 0");
	}
	return err;
}

static struct cprof_error *open_new_threads(struct cprof_wait_events *events, size_t *ret_new)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	*ret_new = 0;
	struct cprof_error *err = cprof_target_threads(events->target, &tids, &n);
	if (err)
		return err;
	cprof_perf_host_raise_files((n + 1) * events->n_cpus *
				    (events->releases ? 3
				     : events->waitv  ? 4
						      : 2));
	for (size_t i = 0; i < n && i < THREADS_MAX; i++) {
		bool added;
		if (!cprof_map64_put(&events->followed, (uint64_t)tids[i], &added))
			return cprof_error_no_memory();
		if (!added)
			continue;
		++*ret_new;
		err = open_thread(events, tids[i]);
		if (err && err->code == CPROF_ERR_NO_TARGET) { /* ended meanwhile */
			cprof_error_free(err);
			err = NULL;
		}
		if (err && err->os_errno == EMFILE)
			return cprof_error_hint(
				err,
				"%zu threads need %zu descriptors: raise ulimit -n, or "
				"run as root for -block-method bpf",
				n, n * events->n_cpus * 2);
		if (err)
			return err;
	}
	return NULL;
}

/* A thread born while we read the list is inherited by its creator, or is in the next list; in both, it is told twice. */
static struct cprof_error *open_threads(struct cprof_wait_events *events)
{
	size_t added = 1;
	for (int round = 0; added && round < ROUNDS_MAX; round++) {
		struct cprof_error *err = open_new_threads(events, &added);
		if (err)
			return err;
	}
	if (!events->n_rings)
		return cprof_error_os(ESRCH, "follow the threads of %d", (int)events->target->pid);
	return NULL;
}

static bool sleeps_in_waitv(pid_t pid, pid_t tid)
{
	char text[256];
	struct cprof_thread_call call;
	return cprof_thread_read(pid, tid, "syscall", text, sizeof(text)) > 0 &&
	       cprof_thread_call_parse(text, &call) && call.kind == CPROF_CALL_BLOCKED &&
	       call.nr == SYS_futex_waitv;
}

/*
 * Two events more for each thread and CPU, which each of its turns on a CPU pays for, are only for programs that use it. A
 * few threads are looked at, each time the next ones.
 */
static bool uses_waitv(struct cprof_wait_events *events, size_t most)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	cprof_error_free(cprof_target_threads(events->target, &tids, &n));
	for (size_t i = 0; i < n && i < most; i++) {
		if (sleeps_in_waitv(events->target->pid, tids[events->looked++ % n]))
			return true;
	}
	return false;
}

static struct cprof_error *open_waitv_of_new_threads(struct cprof_wait_events *events,
						     size_t *ret_new)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	*ret_new = 0;
	struct cprof_error *err = cprof_target_threads(events->target, &tids, &n);
	if (!err)
		cprof_perf_host_raise_files((n + 1) * events->n_cpus * 4);
	for (size_t i = 0; !err && i < n && i < THREADS_MAX; i++) {
		bool added;
		if (!cprof_map64_put(&events->followed_waitv, (uint64_t)tids[i], &added))
			return cprof_error_no_memory();
		*ret_new += added;
		for (size_t cpu = 0; !err && added && cpu < events->n_cpus; cpu++)
			err = open_waitv(events, tids[i], cpu);
		if (err && err->code == CPROF_ERR_NO_TARGET) { /* ended meanwhile */
			cprof_error_free(err);
			err = NULL;
		}
	}
	return err;
}

struct cprof_error *cprof_wait_events_look(struct cprof_wait_events *events)
{
	if (events->waitv || events->releases || !events->points.enter_waitv ||
	    !uses_waitv(events, WAITV_LOOKS))
		return NULL;
	events->waitv = true;
	size_t added = 1;
	struct cprof_error *err = NULL;
	for (int round = 0; !err && added && round < ROUNDS_MAX; round++)
		err = open_waitv_of_new_threads(events, &added);
	return err;
}

static int open_own(const struct cprof_wait_events *events)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
		.config = events->points.enter_futex,
		.sample_type = PERF_SAMPLE_RAW,
		.exclude_kernel = 1,
	};
	return cprof_perf_event_open(&attr, 0, -1, -1);
}

struct cprof_error *cprof_wait_events_open(const struct cprof_target *target, bool releases,
					   uint32_t stack_bytes, struct cprof_wait_events **ret)
{
	struct cprof_wait_events *events = calloc(1, sizeof(*events));
	if (!events)
		return cprof_error_no_memory();
	const uint64_t light = PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_RAW;
	*events = (struct cprof_wait_events){
		.target = target,
		.releases = releases,
		.stack_bytes = stack_bytes,
		.light = { .sample_type = light },
		.heavy = { .sample_type = light | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
			   .n_regs = cprof_arch_host()->n_perf_regs },
		.own_fd = -1,
	};
	struct cprof_error *err = cprof_futex_tracepoints_find(&events->points);
	if (!err)
		err = cprof_perf_host_cpus(&events->cpus, &events->n_cpus);
	if (!err) {
		events->rings = calloc(events->n_cpus, sizeof(*events->rings));
		err = events->rings ? NULL : cprof_error_no_memory();
	}
	events->waitv =
		!err && !releases && events->points.enter_waitv && uses_waitv(events, THREADS_MAX);
	if (!err)
		err = open_threads(events);
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
	for (size_t i = 0; i < events->n_fds; i++)
		close(events->fds[i]);
	for (size_t i = 0; events->rings && i < events->n_rings; i++)
		cprof_perf_event_unmap(events->rings[i].event);
	cprof_map64_deinit(&events->followed);
	cprof_map64_deinit(&events->followed_waitv);
	free(events->fds);
	free(events->rings);
	free(events->cpus);
	free(events);
}

/* ---- reading ---- */

size_t cprof_wait_events_fds(const struct cprof_wait_events *events, struct pollfd *fds, size_t cap)
{
	size_t n = 0;
	for (; n < events->n_rings && n < cap; n++)
		fds[n] = (struct pollfd){ .fd = events->rings[n].event->fd, .events = POLLIN };
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
	const struct cprof_futex_tracepoints *points = &events->points;
	return cprof_wait_events_decode(record->sample.raw, record->sample.n_raw,
					points->enter_futex, points->exit_futex, ret) ||
	       (events->waitv &&
		cprof_wait_events_decode_waitv(record->sample.raw, record->sample.n_raw,
					       points->enter_waitv, points->exit_waitv, ret));
}

/* Both kinds begin alike, so the light layout reads what tells them apart. */
static struct cprof_error *hand_out(struct cprof_wait_events *events,
				    const struct perf_event_header *header,
				    cprof_wait_events_fn *fn, void *ctx)
{
	struct cprof_perf_record record;
	struct cprof_error *err = cprof_perf_record_decode(&events->light, header, &record);
	if (err)
		return err;
	if (record.kind == CPROF_PERF_LOST)
		events->lost += record.lost;
	struct cprof_wait_events_call call = { .tid = record.tid, .time_ns = record.time_ns };
	if (record.kind == CPROF_PERF_EXIT && record.pid == (uint32_t)events->target->pid) {
		call.kind = CPROF_WAIT_EVENTS_ENDED;
		return fn(ctx, &call);
	}
	if (record.kind != CPROF_PERF_SAMPLE || record.pid != (uint32_t)events->target->pid ||
	    !decode_any(events, &record, &call))
		return NULL;
	const bool heavy =
		call.kind == CPROF_WAIT_EVENTS_EXIT && !(events->releases && call.ret < 0);
	if (heavy)
		err = cprof_perf_record_decode(&events->heavy, header, &record);
	call.record = &record;
	return err ? err : fn(ctx, &call);
}

static struct cprof_error *peek(struct cprof_wait_events *events, struct ring *ring)
{
	struct cprof_error *err = cprof_perf_ring_peek(&ring->event->ring, &ring->next);
	if (!err && ring->next)
		ring->next_ns = cprof_perf_record_time(&events->light, ring->next);
	return err;
}

struct cprof_error *cprof_wait_events_drain(struct cprof_wait_events *events, uint64_t until_ns,
					    cprof_wait_events_fn *fn, void *ctx)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < events->n_rings; i++) {
		cprof_perf_ring_begin(&events->rings[i].event->ring);
		err = peek(events, &events->rings[i]);
	}
	while (!err) {
		struct ring *oldest = NULL;
		for (size_t i = 0; i < events->n_rings; i++) {
			struct ring *ring = &events->rings[i];
			if (ring->next && (!oldest || ring->next_ns < oldest->next_ns))
				oldest = ring;
		}
		if (!oldest || oldest->next_ns > until_ns)
			break;
		err = hand_out(events, oldest->next, fn, ctx);
		cprof_perf_ring_consume(&oldest->event->ring);
		if (!err)
			err = peek(events, oldest);
	}
	return err;
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
