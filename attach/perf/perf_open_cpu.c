/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening row "cpu": one sampling event per CPU for whatever runs there, filtered in the kernel to our processes.
 *
 * Measured with 601 threads: 2 descriptors and 1.2 ms a run against 1,202 and 14-20 ms for thread-cpu. A
 * foreign sample costs a dropped timer interrupt. Mappings, names and forks of the whole machine pass by too (the
 * filter acts on samples only), so they get small rings of their own: a busy neighbour can make us lose those,
 * never samples.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <time.h>

#include "attach/perf/bpf_emit.h"
#include "attach/perf/bpf_filter.h"
#include "attach/perf/perf_host.h"
#include "attach/perf/perf_source.h"
#include "base/cleanup.h"

#define SIDE_RING ((size_t)256 << 10)

static struct cprof_error *open_samples(struct cprof_perf_source *source, int cpu, int filter,
					size_t ring_bytes)
{
	struct perf_event_attr attr = cprof_perf_source_attr(source, false);
	attr.watermark = 1;
	attr.wakeup_watermark = (uint32_t)(ring_bytes / 2);
	int fd = cprof_perf_source_open_one(source, &attr, -1, cpu);
	if (fd < 0)
		return cprof_perf_event_refused(errno, source->request.name);
	if (ioctl(fd, PERF_EVENT_IOC_SET_BPF, filter) < 0) {
		struct cprof_error *err = cprof_error_os(errno, "set the BPF filter");
		close(fd);
		return err;
	}
	struct cprof_error *err = cprof_perf_source_add_ring(source, fd, ring_bytes, true);
	if (!err)
		source->rings[source->n_rings - 1].cpu = cpu;
	return err;
}

static struct cprof_error *open_side_band(struct cprof_perf_source *source, int cpu)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = PERF_SAMPLE_TID | PERF_SAMPLE_TIME,
		.disabled = 1,
		.sample_id_all = 1,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
		.mmap = 1,
		.mmap2 = 1,
		.mmap_data = source->request.attr.mmap_data,
		.comm = 1,
		.comm_exec = 1,
		.task = 1,
		.watermark = 1,
		.wakeup_watermark = SIDE_RING / 2,
	};
	/* All records of a source end alike. */
	attr.sample_type |= source->layout.sample_type & PERF_SAMPLE_IDENTIFIER;
	int fd = cprof_perf_event_open(&attr, -1, cpu, -1);
	if (fd < 0)
		return cprof_perf_event_refused(errno, "mappings");
	return cprof_perf_source_add_ring(source, fd, SIDE_RING, false);
}

/* Where it is not possible, goroutines' stacks are read later. */
static void open_pieces(struct cprof_perf_source *source)
{
	const struct cprof_perf_source_request *request = &source->request;
	if (!request->switches || !request->switches->n || request->n_targets != 1)
		return;
	struct cprof_error *err =
		cprof_perf_pieces_open(request->targets[0], request->switches, request->rate_hz,
				       source->programs_fd, &source->pieces);
	if (err)
		cprof_run_log_note(request->log, CPROF_NOTE_DETAIL,
				   "goroutines' stacks are not copied: %s", err->message);
	cprof_error_free(err);
}

/*
 * Our filter is for events that overflow; a tracepoint takes another kind of program. Said before an event is opened: the kernel takes
 * some 50 ms to close one of a tracepoint.
 */
static struct cprof_error *load_filter(struct cprof_perf_source *source, int *ret_fd)
{
	if (source->request.attr.type == PERF_TYPE_TRACEPOINT)
		return cprof_error_hint(
			cprof_error_new(CPROF_ERR_UNSUPPORTED,
					"a tracepoint does not take the filter of samples"),
			"leave -open out, or give -open thread-cpu");
	open_pieces(source);
	if (!source->pieces)
		return cprof_bpf_filter_load(source->request.targets, source->request.n_targets,
					     source->programs_fd, ret_fd);
	*ret_fd = fcntl(cprof_perf_pieces_filter(source->pieces), F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? cprof_error_os(errno, "a descriptor for a BPF filter") : NULL;
}

/* Descriptors of our own in either case. */
static struct cprof_error *get_filter(struct cprof_perf_source *source, int *ret_fd)
{
	const struct cprof_perf_source_request *request = &source->request;
	struct cprof_error *err = NULL;
	if (!request->filter_fd) {
		if (request->contexts)
			err = cprof_bpf_emit_make_map(BPF_MAP_TYPE_PROG_ARRAY, sizeof(uint32_t),
						      sizeof(uint32_t), CPROF_BPF_EMIT_SLOTS,
						      &source->programs_fd);
		return err ? err : load_filter(source, ret_fd);
	}
	*ret_fd = fcntl(*request->filter_fd, F_DUPFD_CLOEXEC, 0);
	if (*ret_fd >= 0 && request->contexts && request->programs_fd)
		source->programs_fd = fcntl(*request->programs_fd, F_DUPFD_CLOEXEC, 0);
	return *ret_fd < 0 ? cprof_error_os(errno, "a descriptor for a BPF filter") : NULL;
}

static struct cprof_error *open_all(struct cprof_perf_source *source)
{
	CPROF_AUTO(close) int filter = -1;
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n;
	struct cprof_error *err = get_filter(source, &filter);
	if (!err)
		err = cprof_perf_host_cpus(&cpus, &n);
	if (err)
		return err;
	cprof_perf_host_raise_files(2 * n);
	size_t bytes = cprof_perf_source_ring_bytes(source, n);
	for (size_t i = 0; i < n; i++) {
		err = open_samples(source, cpus[i], filter, bytes);
		/* A CPU that was taken off since we read the list has no samples to give. */
		if (err && err->os_errno == ENODEV && source->n_rings) {
			cprof_error_free(err);
			continue;
		}
		if (!err)
			err = open_side_band(source, cpus[i]);
		if (err)
			return err;
	}
	return NULL;
}

const struct cprof_perf_opener cprof_perf_open_cpu = {
	.name = "cpu",
	.summary = "a BPF program keeps the target's samples",
	.open = open_all,
};
