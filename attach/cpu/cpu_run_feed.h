/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cpu/cpu_run_feed.h - CPU samples for another mode, which adds them up itself: a clock's samples of one process, walked
 * by that mode's session, and what comes with them (mappings, names, threads that begin and end).
 *
 * Changes nothing in the target and stops nobody.
 */
#ifndef CPROF_ATTACH_CPU_CPU_RUN_FEED_H
#define CPROF_ATTACH_CPU_CPU_RUN_FEED_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "attach/context/context_bpf.h"
#include "attach/cpu/cpu_run.h"
#include "attach/run/session.h"
#include "cprof/error.h"

struct cprof_cpu_feed;

/* Valid during the call that hands it out. */
struct cprof_cpu_feed_sample {
	pid_t tid;
	uint64_t mono_ns;
	const struct cprof_session_stack *stack;
	const void *context; /* what was copied with it (attach/context/contexts.h), */
	size_t n_context;    /* 0: nothing */
};

struct cprof_cpu_feed_taker {
	struct cprof_error *(*sample)(void *ctx, const struct cprof_cpu_feed_sample *sample);
	/* A thread of the target was born, or has ended. May be NULL. */
	void (*thread)(void *ctx, pid_t tid, bool born, uint64_t mono_ns);
	void *ctx;
};

/*
 * Open for the one target of `run`; all is borrowed, and outlives the feed. `request` is of a clock. Nothing is sampled
 * before cprof_cpu_feed_start(). Errors: USAGE, DENIED, UNSUPPORTED, NO_TARGET, OS, NO_MEMORY.
 */
struct cprof_error *cprof_cpu_feed_open(const struct cprof_run *run,
					const struct cprof_cpu_request *request,
					struct cprof_session *session,
					const struct cprof_cpu_feed_taker *taker,
					struct cprof_cpu_feed **ret_feed);
void cprof_cpu_feed_close(struct cprof_cpu_feed *feed);

/*
 * From now on samples bear the context of their thread, which is at `place`. Errors: why that cannot be had with these events, DENIED,
 * UNSUPPORTED or OS; NO_MEMORY.
 */
struct cprof_error *cprof_cpu_feed_set_place(struct cprof_cpu_feed *feed,
					     const struct cprof_context_place *place);

/* Before the session reads its targets' mappings: what is mapped from now on is told. */
void cprof_cpu_feed_start(struct cprof_cpu_feed *feed);

/* What makes a drain worth while; as many as fit. */
size_t cprof_cpu_feed_fds(const struct cprof_cpu_feed *feed, struct pollfd *fds, size_t cap);

/* Hand out what has come up to `until_ns`; UINT64_MAX: all. Errors: what the taker returns, NO_MEMORY. */
struct cprof_error *cprof_cpu_feed_drain(struct cprof_cpu_feed *feed, uint64_t until_ns);

/* No more samples; what was lost is noted in the run's log. Then drain once more. */
void cprof_cpu_feed_stop(struct cprof_cpu_feed *feed);
uint64_t cprof_cpu_feed_lost(const struct cprof_cpu_feed *feed);

/* How it was opened ("cpu", "thread-cpu", "thread"), and whether time in the kernel is sampled as well. */
const char *cprof_cpu_feed_way(const struct cprof_cpu_feed *feed, bool *ret_kernel);

#endif
