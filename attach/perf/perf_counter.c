/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_counter.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "attach/perf/perf_event.h"
#include "base/array.h"
#include "base/cleanup.h"

uint64_t cprof_perf_counter_whole(uint64_t value, uint64_t enabled_ns, uint64_t running_ns)
{
	if (!running_ns)
		return 0;
	if (running_ns >= enabled_ns)
		return value;
	return (uint64_t)((double)value * ((double)enabled_ns / (double)running_ns) + 0.5);
}

static struct perf_event_attr counting(const struct perf_event_attr *event, bool from_exec,
				       bool children)
{
	return (struct perf_event_attr){
		.size = sizeof(struct perf_event_attr),
		.type = event->type,
		.config = event->config,
		.config1 = event->config1,
		.config2 = event->config2,
		.exclude_user = event->exclude_user,
		.exclude_kernel = event->exclude_kernel,
		.exclude_hv = event->exclude_hv,
		.exclude_idle = event->exclude_idle,
		.exclude_guest = event->exclude_guest,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
		.inherit = 1,
		.inherit_thread = !children,
		.disabled = from_exec,
		.enable_on_exec = from_exec,
	};
}

static struct cprof_error *open_thread(struct cprof_perf_counter *counter,
				       const struct perf_event_attr *event, pid_t tid,
				       bool from_exec, bool children)
{
	struct perf_event_attr attr = counting(event, from_exec, children);
	if (!CPROF_ARRAY_ROOM(counter->threads, counter->n, counter->cap, 1))
		return cprof_error_no_memory();
	int fd = cprof_perf_event_open(&attr, tid, -1, -1);
	if (fd < 0 && errno == EINVAL &&
	    attr.inherit_thread) { /* Linux before 5.13: children that are processes count, too */
		attr.inherit_thread = 0;
		fd = cprof_perf_event_open(&attr, tid, -1, -1);
	}
	if (fd < 0 && errno == ESRCH) /* it has ended */
		return NULL;
	if (fd < 0)
		return cprof_perf_event_refused(errno, "count");
	counter->threads[counter->n++] = (struct cprof_perf_counter_thread){ .fd = fd };
	return NULL;
}

static struct cprof_error *open_process(struct cprof_perf_counter *counter,
					const struct perf_event_attr *event,
					const struct cprof_target *target, bool children)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	struct cprof_error *err = cprof_target_threads(target, &tids, &n);
	for (size_t i = 0; !err && i < n; i++)
		err = open_thread(counter, event, tids[i], target->launched, children);
	return err;
}

struct cprof_error *cprof_perf_counter_open(const struct perf_event_attr *attr,
					    struct cprof_target *const *targets, size_t n_targets,
					    bool children, struct cprof_perf_counter *ret_counter)
{
	struct cprof_perf_counter counter = { .takes_turns = attr->type != PERF_TYPE_SOFTWARE &&
							     attr->type != PERF_TYPE_TRACEPOINT };
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n_targets; i++) {
		err = open_process(&counter, attr, targets[i], children);
		if (err && err->code == CPROF_ERR_NO_TARGET) { /* it has nothing more to count */
			cprof_error_free(err);
			err = NULL;
		}
	}
	if (err)
		cprof_perf_counter_close(&counter);
	else
		*ret_counter = counter;
	return err;
}

void cprof_perf_counter_close(struct cprof_perf_counter *counter)
{
	for (size_t i = 0; i < counter->n; i++)
		close(counter->threads[i].fd);
	free(counter->threads);
	*counter = (struct cprof_perf_counter){ 0 };
}

static struct cprof_perf_counter_thread now(const struct cprof_perf_counter_thread *thread)
{
	uint64_t words[3];
	if (read(thread->fd, words, sizeof(words)) != (ssize_t)sizeof(words))
		return *thread;
	return (struct cprof_perf_counter_thread){ thread->fd, words[0], words[1], words[2] };
}

void cprof_perf_counter_start(struct cprof_perf_counter *counter)
{
	for (size_t i = 0; i < counter->n; i++)
		counter->threads[i] = now(&counter->threads[i]);
}

/* What never waits for its turn is counted, not estimated: the times of a thread that runs for microseconds are told too roughly for that. */
static uint64_t counted(const struct cprof_perf_counter *counter,
			const struct cprof_perf_counter_thread *start)
{
	const struct cprof_perf_counter_thread end = now(start);
	const uint64_t value = end.value - start->value;
	return counter->takes_turns
		       ? cprof_perf_counter_whole(value, end.enabled_ns - start->enabled_ns,
						  end.running_ns - start->running_ns)
		       : value;
}

uint64_t cprof_perf_counter_read(const struct cprof_perf_counter *counter)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < counter->n; i++)
		sum += counted(counter, &counter->threads[i]);
	return sum;
}
