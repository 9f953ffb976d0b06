/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/threads/thread_running.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attach/perf/perf_record.h"
#include "attach/perf/perf_ring.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define BATCH       64 /* events open at once: 64 * 36 KiB of locked memory */
#define RING_BYTES  (32 * 1024)
#define STACK_BYTES (16 * 1024) /* outer frames are read from the process */
#define PERIOD_NS   10000       /* the shortest that the kernel grants */

struct event {
	struct cprof_thread *thread; /* borrowed */
	void *pages;
	int fd;
	bool sampled;
};

static int open_event(pid_t tid, bool exclude_kernel)
{
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = PERIOD_NS,
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.sample_regs_user = cprof_arch_host()->perf_regs_mask,
		.sample_stack_user = STACK_BYTES,
		.disabled = 1,
		.exclude_kernel = exclude_kernel,
		.exclude_hv = 1,
		.wakeup_events = 1,
	};
	return (int)syscall(SYS_perf_event_open, &attr, tid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

int cprof_thread_running_prepare(void)
{
	return open_event(0, true);
}

/* With the kernel included a thread that is busy in a system call is caught too; not everyone may. */
static bool start(struct event *event)
{
	event->fd = open_event(event->thread->tid, false);
	if (event->fd < 0 && (errno == EACCES || errno == EPERM))
		event->fd = open_event(event->thread->tid, true);
	if (event->fd < 0)
		return false;
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	event->pages =
		mmap(NULL, page + RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, event->fd, 0);
	if (event->pages != MAP_FAILED && ioctl(event->fd, PERF_EVENT_IOC_REFRESH, 1) == 0)
		return true;
	int saved = errno;
	if (event->pages != MAP_FAILED)
		munmap(event->pages, page + RING_BYTES);
	close(event->fd);
	event->fd = -1;
	errno = saved;
	return false;
}

static void stop(struct event *event)
{
	if (event->fd < 0)
		return;
	munmap(event->pages, (size_t)sysconf(_SC_PAGESIZE) + RING_BYTES);
	close(event->fd);
}

bool cprof_thread_running_decode(const struct perf_event_header *record,
				 struct cprof_thread *thread)
{
	const struct cprof_arch *arch = cprof_arch_host();
	const struct cprof_perf_layout layout = {
		.sample_type = PERF_SAMPLE_REGS_USER | PERF_SAMPLE_STACK_USER,
		.n_regs = arch->n_perf_regs,
	};
	struct cprof_perf_record sample;
	struct cprof_error *err = cprof_perf_record_decode(&layout, record, &sample);
	if (err || sample.kind != CPROF_PERF_SAMPLE || !sample.sample.regs ||
	    sample.sample.regs_32bit) {
		cprof_error_free(err);
		return false;
	}
	size_t n = sample.sample.n_stack;
	uint8_t *stack = malloc(n ? n : 1);
	if (!stack)
		return false;
	if (n)
		memcpy(stack, sample.sample.stack, n);
	free(thread->stack);
	thread->stack = stack;
	thread->n_stack = n;
	cprof_arch_regs_from_perf(arch, sample.sample.regs, &thread->regs);
	thread->stack_addr = thread->regs.r[arch->sp];
	thread->means = CPROF_MEANS_PERF;
	thread->why = NULL;
	return true;
}

static struct cprof_error *on_record(const struct perf_event_header *record, void *ctx)
{
	struct event *event = ctx;
	if (!event->sampled)
		event->sampled = cprof_thread_running_decode(record, event->thread);
	return NULL;
}

static void drain(struct event *event, struct cprof_perf_ring *ring)
{
	size_t n;
	ring->meta = event->pages;
	ring->data = (const uint8_t *)event->pages + sysconf(_SC_PAGESIZE);
	ring->size = RING_BYTES;
	cprof_error_free(cprof_perf_ring_drain(ring, on_record, event, &n));
}

/* Wait until every event has fired or the time is over. */
static void collect(struct event *events, size_t n, uint64_t end_ns, struct cprof_perf_ring *ring)
{
	struct pollfd fds[BATCH];
	for (;;) {
		nfds_t waiting = 0;
		for (size_t i = 0; i < n; i++) {
			if (events[i].fd >= 0 && !events[i].sampled)
				fds[waiting++] =
					(struct pollfd){ .fd = events[i].fd, .events = POLLIN };
		}
		uint64_t now_ns = cprof_clock_mono_ns();
		if (!waiting || now_ns >= end_ns)
			return;
		const struct timespec rest = { .tv_sec =
						       (time_t)((end_ns - now_ns) / CPROF_NS_PER_S),
					       .tv_nsec =
						       (long)((end_ns - now_ns) % CPROF_NS_PER_S) };
		int ready = ppoll(fds, waiting, &rest, NULL);
		if (ready < 0 && errno != EINTR)
			return;
		bool hung_up = false;
		for (size_t i = 0; i < n; i++) {
			if (events[i].fd >= 0 && !events[i].sampled)
				drain(&events[i], ring);
		}
		for (nfds_t i = 0; i < waiting && ready > 0; i++)
			hung_up = hung_up || (fds[i].revents & (POLLHUP | POLLERR) &&
					      !(fds[i].revents & POLLIN));
		if (hung_up) { /* a thread has ended, or its event is spent: never wait on it again */
			for (nfds_t f = 0; f < waiting; f++) {
				for (size_t i = 0; i < n; i++) {
					if (events[i].fd == fds[f].fd &&
					    fds[f].revents & (POLLHUP | POLLERR))
						events[i].sampled = true;
				}
			}
		}
	}
}

struct cprof_error *cprof_thread_running_sample(struct cprof_thread **threads, size_t n,
						uint64_t wait_ns)
{
	CPROF_AUTO(free) struct cprof_perf_ring *ring = malloc(sizeof(*ring));
	uint64_t end_ns = cprof_clock_mono_ns() + wait_ns;
	size_t opened = 0;
	int open_errno = 0;
	if (!ring)
		return cprof_error_no_memory();
	for (size_t at = 0; at < n; at += BATCH) {
		struct event events[BATCH] = { 0 };
		size_t batch = n - at < BATCH ? n - at : BATCH;
		for (size_t i = 0; i < batch; i++) {
			events[i] = (struct event){ .thread = threads[at + i], .fd = -1 };
			if (start(&events[i]))
				opened++;
			else
				open_errno = errno;
		}
		/* The time is shared out, so that the last batch has its part. */
		uint64_t now_ns = cprof_clock_mono_ns();
		uint64_t batches = (n - at + BATCH - 1) / BATCH;
		uint64_t left_ns = end_ns > now_ns ? end_ns - now_ns : 0;
		collect(events, batch, now_ns + left_ns / batches, ring);
		for (size_t i = 0; i < batch; i++)
			stop(&events[i]);
	}
	return opened || open_errno == ESRCH ? NULL : cprof_error_os(open_errno, "perf_event_open");
}
