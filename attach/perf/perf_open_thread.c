/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening row "thread": one event and one small ring per thread, on any CPU. The last resort, for many CPUs and few
 * descriptors or little memory to lock. Nothing is inherited: new threads are found by looking for them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "attach/perf/perf_host.h"
#include "attach/perf/perf_source.h"
#include "attach/run/run_without.h"
#include "base/cleanup.h"

#define RING_BYTES ((size_t)128 << 10) /* three samples of 32 KiB: memory to lock is scarce here */

static struct cprof_error *open_thread(struct cprof_perf_source *source, pid_t tid)
{
	struct perf_event_attr attr = cprof_perf_source_attr(source, true);
	attr.watermark = 1;
	attr.wakeup_watermark = (uint32_t)(2 * source->request.stack_bytes);
	int fd = cprof_perf_source_open_one(source, &attr, tid, -1);
	if (fd < 0)
		return cprof_perf_event_refused(errno, source->request.name);
	return cprof_perf_source_add_ring(source, fd, RING_BYTES, true);
}

/* CPU time of a thread so far, in ticks; 0 if it is gone. */
static unsigned long long busy(pid_t pid, pid_t tid)
{
	char path[64], text[1024];
	unsigned long long user = 0, system = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = 0;
	const char *after = strrchr(text, ')');
	if (!after || sscanf(after + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu",
			     &user, &system) != 2)
		return 0;
	return user + system;
}

struct ranked {
	unsigned long long busy;
	pid_t tid;
};

static int by_busy(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return (x->busy < y->busy) - (x->busy > y->busy);
}

/* Where not all get an event, those that have worked most should. */
static struct cprof_error *rank(const struct cprof_target *target, pid_t *tids, size_t n)
{
	CPROF_AUTO(free) struct ranked *ranked = calloc(n, sizeof(*ranked));
	if (!ranked)
		return cprof_error_no_memory();
	for (size_t i = 0; i < n; i++)
		ranked[i] = (struct ranked){ busy(target->pid, tids[i]), tids[i] };
	qsort(ranked, n, sizeof(*ranked), by_busy);
	for (size_t i = 0; i < n; i++)
		tids[i] = ranked[i].tid;
	return NULL;
}

static bool out_of_room(const struct cprof_error *err)
{
	return err->os_errno == EMFILE || err->os_errno == ENFILE || err->os_errno == EPERM;
}

/* Threads without an event get one; those for which there is no room are counted. */
static struct cprof_error *open_new(struct cprof_perf_source *source,
				    const struct cprof_target *target)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n;
	struct cprof_error *err = cprof_target_threads(target, &tids, &n);
	if (!err && !source->n_rings)
		err = rank(target, tids, n);
	if (err)
		return err;
	cprof_perf_host_raise_files(source->n_rings + n);
	for (size_t i = 0; i < n; i++) {
		bool added;
		if (!cprof_map64_put(&source->followed, (uint64_t)tids[i], &added))
			return cprof_error_no_memory();
		if (!added)
			continue;
		err = open_thread(source, tids[i]);
		if (!err)
			continue;
		bool gone = err->code == CPROF_ERR_NO_TARGET;
		if (!gone && !(source->n_rings && out_of_room(err)))
			return err;
		source->unfollowed += !gone;
		cprof_error_free(err);
	}
	return NULL;
}

static struct cprof_error *open_all(struct cprof_perf_source *source)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < source->request.n_targets; i++) {
		err = open_new(source, source->request.targets[i]);
		err = cprof_run_without(source->request.log, source->request.targets,
					source->request.n_targets, source->request.targets[i], err);
	}
	if (!err && !source->n_rings)
		err = cprof_error_new(CPROF_ERR_NO_TARGET, "no thread of the target is left");
	return err;
}

static struct cprof_error *follow(struct cprof_perf_source *source)
{
	size_t before = source->n_rings;
	for (size_t i = 0; i < source->request.n_targets; i++) {
		struct cprof_error *err = open_new(source, source->request.targets[i]);
		if (err && err->code != CPROF_ERR_NO_TARGET)
			return err;
		cprof_error_free(err);
	}
	for (size_t i = before; i < source->n_rings; i++)
		ioctl(source->rings[i].event->fd, PERF_EVENT_IOC_ENABLE, 0);
	return NULL;
}

const struct cprof_perf_opener cprof_perf_open_thread = {
	.name = "thread",
	.summary = "an event and a ring for each thread, new ones by looking",
	.clock_per_thread = true,
	.open = open_all,
	.follow = follow,
};
