/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening row "thread-cpu": an event for each thread on each CPU, inherited by the threads it creates; all
 * events of a CPU share one ring. What an ordinary user may do with his own processes.
 *
 * An inherited event cannot be mapped without a CPU (EINVAL), hence threads x CPUs. A thread created while we
 * open is either inherited by one we had opened already (then a FORK record says so) or not (then it needs its
 * own): opening it in both cases would count it twice. An event that is disabled is inherited without a record, so
 * events count from their opening on. That saves an ioctl and an interrupt for each, too: 20 ms with 1,000 threads.
 */
#include <errno.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "attach/perf/perf_host.h"
#include "attach/perf/perf_source.h"
#include "attach/run/run_without.h"
#include "base/cleanup.h"

#define BETWEEN    128 /* threads opened before the rings are read again, which fill meanwhile */
#define ROUNDS_MAX 20  /* readings of the list of threads; one that never settles is given up on */

/* The first event of each CPU owns its ring. */
static struct cprof_error *open_thread(struct cprof_perf_source *source, pid_t tid, const int *cpus,
				       size_t n_cpus, size_t ring_bytes)
{
	for (size_t i = 0; i < n_cpus; i++) {
		struct perf_event_attr attr = cprof_perf_source_attr(source, true);
		attr.disabled = 0;
		attr.inherit = 1;
		attr.watermark = 1;
		attr.wakeup_watermark = (uint32_t)(ring_bytes / 2);
		int fd = cprof_perf_source_open_one(source, &attr, tid, cpus[i]);
		if (fd < 0)
			return cprof_perf_event_refused(errno, source->request.name);
		if (i >= source->n_rings) {
			struct cprof_error *err =
				cprof_perf_source_add_ring(source, fd, ring_bytes, true);
			if (err)
				return err;
			continue;
		}
		if (ioctl(fd, PERF_EVENT_IOC_SET_OUTPUT, source->rings[i].event->fd) < 0) {
			struct cprof_error *err = cprof_error_os(errno, "share a ring");
			close(fd);
			return err;
		}
		struct cprof_error *err = cprof_perf_source_add_fd(source, fd);
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *note_fork(void *ctx, const struct cprof_perf_record *record)
{
	struct cprof_perf_source *source = ctx;
	if (record->kind == CPROF_PERF_FORK &&
	    !cprof_map64_put(&source->followed, record->tid, NULL))
		return cprof_error_no_memory();
	return NULL;
}

/* One reading of the list of threads of one process; opens those that no opened thread has created. */
static struct cprof_error *open_new(struct cprof_perf_source *source,
				    const struct cprof_target *target, const int *cpus,
				    size_t n_cpus, size_t ring_bytes, size_t *ret_opened)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	struct cprof_error *err = cprof_target_threads(target, &tids, &n);
	if (!err) /* after the list: a thread in it that was inherited is in a ring by now */
		err = cprof_perf_source_drain(source, UINT64_MAX, note_fork, source);
	if (err)
		return err;
	cprof_perf_host_raise_files((n + source->n_fds / (n_cpus ? n_cpus : 1)) * n_cpus);
	for (size_t i = 0; i < n; i++) {
		bool added;
		if (!cprof_map64_put(&source->followed, (uint64_t)tids[i], &added))
			return cprof_error_no_memory();
		if (!added)
			continue;
		err = ++*ret_opened % BETWEEN
			      ? NULL
			      : cprof_perf_source_drain(source, UINT64_MAX, note_fork, source);
		if (!err)
			err = open_thread(source, tids[i], cpus, n_cpus, ring_bytes);
		/* Ended meanwhile. */
		if (err && err->code == CPROF_ERR_NO_TARGET) {
			cprof_error_free(err);
			continue;
		}
		if (err)
			return err;
	}
	return NULL;
}

static struct cprof_error *open_all(struct cprof_perf_source *source)
{
	CPROF_AUTO(free) int *cpus = NULL;
	size_t n_cpus;
	struct cprof_error *err = cprof_perf_host_cpus(&cpus, &n_cpus);
	if (err)
		return err;
	size_t ring_bytes = cprof_perf_source_ring_bytes(source, n_cpus);
	for (size_t i = 0; i < source->request.n_targets; i++) {
		struct cprof_target *target = source->request.targets[i];
		size_t opened = 1;
		for (int round = 0; round < ROUNDS_MAX && opened && !err; round++) {
			opened = 0;
			err = open_new(source, target, cpus, n_cpus, ring_bytes, &opened);
		}
		err = cprof_run_without(source->request.log, source->request.targets,
					source->request.n_targets, target, err);
		if (err)
			return err;
	}
	if (!source->n_rings)
		return cprof_error_new(CPROF_ERR_NO_TARGET, "no thread of the target is left");
	return NULL;
}

const struct cprof_perf_opener cprof_perf_open_thread_cpu = {
	.name = "thread-cpu",
	.summary = "an inherited event for each thread and CPU",
	.inherits = true,
	.clock_per_thread = true,
	.live = true,
	.open = open_all,
};
