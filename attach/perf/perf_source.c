/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/perf/perf_source_context.h"
#include "base/array.h"
#include "cprof/arch.h"

/* Of samples in a ring. We are woken when it is half full, and may have to wait for a CPU then. */
#define RING_SECONDS  0.6
#define RING_LEAST    ((size_t)128 << 10)
#define RING_MOST     ((size_t)4 << 20)
#define RINGS_TOTAL   ((size_t)16 << 20) /* our resident memory stays below 40 MB */
#define RECORD_MARGIN 1024               /* of a sample besides its stack */

/* Debian 12's headers are older than the kernel: Linux commit "perf: Add PERF_FORMAT_LOST" (v6.0) has it. */
#ifndef PERF_FORMAT_LOST
#define PERF_FORMAT_LOST (1U << 4)
#endif

static const struct cprof_perf_opener *const openers[] = {
	&cprof_perf_open_cpu,
	&cprof_perf_open_thread_cpu,
	&cprof_perf_open_thread,
};
#define N_OPENERS (sizeof(openers) / sizeof(openers[0]))

/* ---- what rows use ---- */

struct perf_event_attr cprof_perf_source_attr(const struct cprof_perf_source *source,
					      bool side_band)
{
	struct perf_event_attr attr = source->request.attr;
	const struct cprof_arch *arch = cprof_arch_host();
	attr.size = sizeof(attr);
	attr.disabled = 1;
	attr.exclude_hv = 1;
	attr.exclude_guest = 1;
	attr.exclude_idle = 1;
	attr.exclude_kernel = attr.exclude_kernel || source->kernel_excluded;
	attr.sample_id_all = 1;
	attr.use_clockid = 1;
	attr.clockid = CLOCK_MONOTONIC;
	attr.read_format = PERF_FORMAT_LOST;
	/* No PERF_SAMPLE_PERIOD: with it the kernel takes a sample of every software event, whatever the period. */
	attr.sample_type = (attr.sample_type & PERF_SAMPLE_RAW) | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
			   PERF_SAMPLE_TIME | PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER;
	if (source->programs_fd >= 0) /* records of another event come in between */
		attr.sample_type |= PERF_SAMPLE_IDENTIFIER;
	if (source->request.kernel_frames && !attr.exclude_kernel) {
		attr.sample_type |= PERF_SAMPLE_CALLCHAIN;
		attr.exclude_callchain_user = 1;
	}
	attr.sample_regs_user = arch->perf_regs_mask;
	attr.sample_stack_user = (uint32_t)source->request.stack_bytes;
	if (side_band) {
		attr.mmap = attr.mmap2 = 1;
		attr.comm = attr.comm_exec = 1;
		attr.task = 1;
	}
	return attr;
}

int cprof_perf_source_open_one(struct cprof_perf_source *source, struct perf_event_attr *attr,
			       pid_t pid, int cpu)
{
	int fd = cprof_perf_event_open(attr, pid, cpu, -1);
	if (fd < 0 && errno == EINVAL && attr->read_format) {
		attr->read_format = 0;
		fd = cprof_perf_event_open(attr, pid, cpu, -1);
	}
	if (fd < 0 && errno == EACCES && !attr->exclude_kernel && pid > 0) {
		source->kernel_excluded = true;
		attr->exclude_kernel = 1;
		attr->sample_type &= ~(uint64_t)PERF_SAMPLE_CALLCHAIN;
		attr->exclude_callchain_user = 0;
		fd = cprof_perf_event_open(attr, pid, cpu, -1);
		if (fd < 0)
			source->kernel_excluded = false;
	}
	if (fd >= 0 && source->request.filter &&
	    ioctl(fd, PERF_EVENT_IOC_SET_FILTER, source->request.filter) < 0) {
		const int why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	if (fd >= 0 && !cprof_perf_host_leaves_files(fd)) {
		close(fd);
		errno = EMFILE;
		return -1;
	}
	if (fd >= 0)
		source->layout.sample_type = attr->sample_type;
	return fd;
}

static bool has_room_for_ring(struct cprof_perf_source *source)
{
	return CPROF_ARRAY_ROOM(source->rings, source->n_rings, source->cap_rings, 1) &&
	       CPROF_ARRAY_ROOM(source->poll, source->n_rings, source->cap_poll, 1);
}

struct cprof_error *cprof_perf_source_add_ring(struct cprof_perf_source *source, int fd,
					       size_t bytes, bool samples)
{
	struct cprof_perf_event_ring *event;
	struct cprof_error *err = has_room_for_ring(source)
					  ? cprof_perf_event_map(fd, bytes, RING_LEAST / 2, &event)
					  : cprof_error_no_memory();
	if (err) {
		close(fd);
		return err;
	}
	source->poll[source->n_rings] =
		(struct pollfd){ .fd = samples ? event->fd : -1, .events = POLLIN };
	source->rings[source->n_rings++] =
		(struct cprof_perf_source_ring){ .event = event, .samples = samples, .cpu = -1 };
	return NULL;
}

struct cprof_error *cprof_perf_source_add_fd(struct cprof_perf_source *source, int fd)
{
	if (!CPROF_ARRAY_ROOM(source->fds, source->n_fds, source->cap_fds, 1)) {
		close(fd);
		return cprof_error_no_memory();
	}
	source->fds[source->n_fds++] = fd;
	return NULL;
}

size_t cprof_perf_source_ring_bytes(const struct cprof_perf_source *source, size_t n)
{
	double want = source->request.rate_hz * RING_SECONDS *
		      (double)(source->request.stack_bytes + RECORD_MARGIN);
	size_t bytes = want > (double)RING_MOST ? RING_MOST : (size_t)want;
	if (n && bytes > RINGS_TOTAL / n)
		bytes = RINGS_TOTAL / n;
	/* Eight samples at least: they come in bursts when the kernel had no time for its timers. */
	size_t eight = 8 * (size_t)(source->request.stack_bytes + RECORD_MARGIN);
	if (bytes < eight && n <= 64)
		bytes = eight;
	return bytes < RING_LEAST ? RING_LEAST : bytes;
}

/* ---- opening ---- */

/* Back to what it was before an attempt. */
static void forget(struct cprof_perf_source *source)
{
	for (size_t i = 0; i < source->n_fds; i++)
		close(source->fds[i]);
	for (size_t i = 0; i < source->n_rings; i++) {
		cprof_perf_source_context_free(source->rings[i].context);
		cprof_perf_event_unmap(source->rings[i].event);
	}
	if (source->programs_fd >= 0)
		close(source->programs_fd);
	source->programs_fd = -1;
	cprof_bpf_context_close(source->context);
	source->context = NULL;
	source->n_fds = source->n_rings = 0;
	source->unfollowed = 0;
	source->kernel_excluded = false;
	cprof_perf_pieces_close(source->pieces);
	source->pieces = NULL;
	cprof_map64_deinit(&source->followed);
}

static void note_limits(struct cprof_perf_source *source)
{
	struct cprof_run_log *log = source->request.log;
	cprof_run_log_note(log, CPROF_NOTE_DETAIL,
			   "events opened per %s (%s): %zu descriptors, "
			   "%zu rings of %zu KiB",
			   source->opener->name, source->opener->summary,
			   source->n_fds + source->n_rings, source->n_rings,
			   source->n_rings ? (size_t)source->rings[0].event->ring.size / 1024 : 0);
	if (source->kernel_excluded && !source->request.attr.exclude_kernel)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"time spent in the kernel is not counted: kernel.perf_event_paranoid "
			"is %d (1 or less, root or CAP_PERFMON would allow it)",
			cprof_perf_event_paranoid());
	if (source->unfollowed)
		cprof_run_log_note(
			log, CPROF_NOTE_WARNING,
			"%llu threads are not sampled: out of file descriptors or memory "
			"for rings (raise ulimit -n and ulimit -l, or run as root)",
			(unsigned long long)source->unfollowed);
}

static bool wanted(const struct cprof_perf_source_request *request, size_t i)
{
	return strcmp(request->strategy, "auto") == 0 ||
	       strcmp(request->strategy, openers[i]->name) == 0;
}

static struct cprof_error *no_such_strategy(const char *name)
{
	struct cprof_error *err = cprof_error_new(CPROF_ERR_USAGE, "-open %s is not known", name);
	return cprof_error_hint(err, "ways are cpu, thread-cpu and thread, or auto");
}

static struct cprof_error *no_children(const char *name)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_USAGE, "-open %s does not follow the processes that a process starts",
		name);
	return cprof_error_hint(err, "with -children leave -open out, or give -open thread-cpu");
}

/* An event that does not exist, or no process: no other way of opening will change that. */
static bool final(const struct cprof_error *err)
{
	return err->code == CPROF_ERR_NO_TARGET || err->code == CPROF_ERR_NO_MEMORY ||
	       err->os_errno == ENOENT || err->os_errno == ENODEV;
}

static struct cprof_error *try_openers(struct cprof_perf_source *source)
{
	struct cprof_error *last = no_such_strategy(source->request.strategy);
	for (size_t i = 0; i < N_OPENERS; i++) {
		if (!wanted(&source->request, i))
			continue;
		if (source->request.children && !openers[i]->inherits) {
			if (strcmp(source->request.strategy, "auto") != 0) {
				cprof_error_free(last);
				return no_children(openers[i]->name);
			}
			continue;
		}
		cprof_error_free(last);
		source->opener = openers[i];
		last = openers[i]->open(source);
		if (!last)
			return NULL;
		forget(source);
		cprof_run_log_note(source->request.log, CPROF_NOTE_DETAIL,
				   "events per %s: not possible: %s", openers[i]->name,
				   last->message);
		if (final(last))
			return last;
	}
	return last;
}

struct cprof_error *cprof_perf_source_open(const struct cprof_perf_source_request *request,
					   struct cprof_perf_source **ret_source)
{
	struct cprof_error *err = cprof_perf_host_check_clock();
	if (err)
		return err;
	struct cprof_perf_source *source = calloc(1, sizeof(*source));
	if (!source)
		return cprof_error_no_memory();
	source->request = *request;
	source->programs_fd = -1;
	source->layout.n_regs = cprof_arch_host()->n_perf_regs;
	err = try_openers(source);
	if (err) {
		cprof_perf_source_close(source);
		return err;
	}
	note_limits(source);
	*ret_source = source;
	return NULL;
}

void cprof_perf_source_close(struct cprof_perf_source *source)
{
	if (!source)
		return;
	forget(source);
	free(source->rings);
	free(source->poll);
	free(source->fds);
	free(source);
}

static void control(struct cprof_perf_source *source, unsigned long request)
{
	for (size_t i = 0; i < source->n_rings; i++)
		ioctl(source->rings[i].event->fd, request, 0);
	for (size_t i = 0; i < source->n_fds; i++)
		ioctl(source->fds[i], request, 0);
}

static uint64_t lost_by_kernel(const struct cprof_perf_source *source)
{
	uint64_t n = 0;
	for (size_t i = 0; i < source->n_rings; i++) {
		if (source->rings[i].samples)
			n += cprof_perf_event_lost(source->rings[i].event->fd);
	}
	return n;
}

void cprof_perf_source_enable(struct cprof_perf_source *source)
{
	if (!source->opener->live) {
		control(source, PERF_EVENT_IOC_ENABLE);
		return;
	}
	source->lost_before = lost_by_kernel(source);
	source->lost_records = 0;
}

void cprof_perf_source_disable(struct cprof_perf_source *source)
{
	control(source, PERF_EVENT_IOC_DISABLE);
}

void cprof_perf_source_set_period(struct cprof_perf_source *source, uint64_t period)
{
	source->request.attr.sample_period = period;
	for (size_t i = 0; i < source->n_rings; i++) {
		if (source->rings[i].samples)
			ioctl(source->rings[i].event->fd, PERF_EVENT_IOC_PERIOD, &period);
	}
	for (size_t i = 0; i < source->n_fds; i++)
		ioctl(source->fds[i], PERF_EVENT_IOC_PERIOD, &period);
}

/* ---- reading ---- */

static void peek_next(struct cprof_perf_source *source, struct cprof_perf_source_ring *ring)
{
	struct cprof_error *err = cprof_perf_ring_peek(&ring->event->ring, &ring->next);
	if (err) {
		cprof_run_log_note(source->request.log, CPROF_NOTE_WARNING, "%s", err->message);
		cprof_error_free(err);
		ring->next = NULL;
	}
	ring->next_ns = ring->next ? cprof_perf_record_time(&source->layout, ring->next) : 0;
}

static struct cprof_perf_source_ring *oldest(struct cprof_perf_source *source)
{
	struct cprof_perf_source_ring *best = NULL;
	for (size_t i = 0; i < source->n_rings; i++) {
		struct cprof_perf_source_ring *ring = &source->rings[i];
		if (ring->next && (!best || ring->next_ns < best->next_ns))
			best = ring;
	}
	return best;
}

/* What was copied together with it. */
static void add_piece(const struct cprof_perf_source *source, struct cprof_perf_record *record)
{
	struct cprof_regs regs;
	if (!source->pieces || record->kind != CPROF_PERF_SAMPLE || !record->sample.regs)
		return;
	cprof_arch_regs_from_perf(cprof_arch_host(), record->sample.regs, &regs);
	record->sample.other =
		cprof_perf_pieces_find(source->pieces, record->time_ns,
				       regs.r[cprof_arch_host()->sp], &record->sample.n_other);
}

static struct cprof_error *hand_out(struct cprof_perf_source *source,
				    const struct cprof_perf_source_ring *ring,
				    cprof_perf_source_fn *fn, void *ctx)
{
	struct cprof_perf_record record;
	if (cprof_perf_source_context_take(ring->context, ring->next))
		return NULL;
	struct cprof_error *err = cprof_perf_record_decode(&source->layout, ring->next, &record);
	if (err) { /* counted like a record that never came, and told once per kind */
		cprof_run_log_note(source->request.log, CPROF_NOTE_WARNING, "%s", err->message);
		cprof_error_free(err);
		source->lost_records += ring->samples;
		return NULL;
	}
	switch (record.kind) {
	case CPROF_PERF_LOST:
		*(ring->samples ? &source->lost_records : &source->lost_other) += record.lost;
		return NULL;
	case CPROF_PERF_THROTTLE:
		source->throttled++;
		return NULL;
	case CPROF_PERF_UNTHROTTLE:
	case CPROF_PERF_OTHER:
		return NULL;
	default:
		if (record.time_ns > source->last_ns)
			source->last_ns = record.time_ns;
		if (record.kind == CPROF_PERF_SAMPLE)
			cprof_perf_source_context_give(ring->context, &record);
		add_piece(source, &record);
		return fn(ctx, &record);
	}
}

struct cprof_error *cprof_perf_source_drain(struct cprof_perf_source *source, uint64_t until_ns,
					    cprof_perf_source_fn *fn, void *ctx)
{
	for (size_t i = 0; i < source->n_rings; i++) {
		cprof_perf_ring_begin(&source->rings[i].event->ring);
		peek_next(source, &source->rings[i]);
	}
	if (source->pieces)
		cprof_perf_pieces_take(source->pieces);
	struct cprof_perf_source_ring *ring;
	while ((ring = oldest(source)) && ring->next_ns <= until_ns) {
		struct cprof_error *err = hand_out(source, ring, fn, ctx);
		cprof_perf_ring_consume(&ring->event->ring);
		if (err)
			return err;
		peek_next(source, ring);
	}
	if (source->pieces)
		cprof_perf_pieces_drop(source->pieces,
				       until_ns < source->last_ns ? until_ns : source->last_ns);
	return NULL;
}

uint64_t cprof_perf_source_lost(const struct cprof_perf_source *source)
{
	uint64_t by_kernel = lost_by_kernel(source) - source->lost_before;
	return by_kernel > source->lost_records ? by_kernel : source->lost_records;
}
