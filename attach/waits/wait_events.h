/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_events.h - the futex calls of one process, read from perf's rings in order of time.
 *
 * Which events those are, and on whom they are opened, is wait_event_set.h's. Here their records are merged, decoded, and those of
 * others dropped.
 *
 * Source of truth: perf_event_open(2); the `format` files under events/syscalls in tracefs.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_EVENTS_H
#define CPROF_ATTACH_WAITS_WAIT_EVENTS_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "attach/perf/perf_record.h"
#include "attach/target/target.h"
#include "attach/waits/wait_pair.h"
#include "cprof/error.h"

struct cprof_wait_events;

enum cprof_wait_events_kind {
	CPROF_WAIT_EVENTS_ENTER,
	CPROF_WAIT_EVENTS_EXIT,
	CPROF_WAIT_EVENTS_ENDED, /* the thread itself has: the kernel wakes who joins it */
};

struct cprof_wait_events_call {
	enum cprof_wait_events_kind kind;
	uint32_t tid;
	uint64_t time_ns;
	uint64_t addr;    /* ENTER */
	uint32_t op, val; /* ENTER; CPROF_WAIT_PAIR_WAITV */
	uint64_t to, n; /* ENTER of a requeue: the other address, and how many may be moved there */
	int64_t ret;    /* EXIT */
	bool has_stack; /* EXIT: `record` has registers and stack, the thread's registers permitting */
	const struct cprof_perf_record *record;
};

struct cprof_wait_events_options {
	bool releases; /* wakes are what gets a stack, else waits; and all that return are told */
	bool each_thread; /* events of threads, also where they may be of CPUs */
	uint32_t stack_bytes;
};

/*
 * Open for every thread of `target`, and those to come. Errors: DENIED, UNSUPPORTED, NO_TARGET, OS (too many threads for the limit of
 * open files; the hint says so).
 */
struct cprof_error *cprof_wait_events_open(const struct cprof_target *target,
					   const struct cprof_wait_events_options *options,
					   struct cprof_wait_events **ret);
void cprof_wait_events_close(struct cprof_wait_events *events);

/*
 * Whether a thread sleeps in futex_waitv by now; then that call is followed from here on, where it is not always. To be asked about once a
 * second: reads /proc of at most 64 threads. Errors: as open.
 */
struct cprof_error *cprof_wait_events_look(struct cprof_wait_events *events);

/*
 * From now on one EXIT in `period` only has a stack. An EXIT that has one may be told a second time without; the one with it comes
 * first.
 */
void cprof_wait_events_thin(struct cprof_wait_events *events, uint64_t period);

/* Events of CPUs, or of threads? */
bool cprof_wait_events_wide(const struct cprof_wait_events *events);

size_t cprof_wait_events_fds(const struct cprof_wait_events *events, struct pollfd *fds,
			     size_t cap);

/* Hand out what has come up to `until_ns` (UINT64_MAX: all), in order of time; `call` is valid during `fn`. Errors: those of `fn`. */
typedef struct cprof_error *cprof_wait_events_fn(void *ctx,
						 const struct cprof_wait_events_call *call);
struct cprof_error *cprof_wait_events_drain(struct cprof_wait_events *events, uint64_t until_ns,
					    cprof_wait_events_fn *fn, void *ctx);

/*
 * To be called after a drain: where that has told of a thread of the target that the filter of events of CPUs leaves out (numbers began anew), or of many
 * calls of others, the filter is made anew. Errors: as open; all is as before then.
 */
struct cprof_error *cprof_wait_events_refresh(struct cprof_wait_events *events);

/* Records that the rings had no room for, so far. */
uint64_t cprof_wait_events_lost(const struct cprof_wait_events *events);

/*
 * Makes a futex call and sees whether perf counts it. False: some BPF program on the tracepoint hides it from all
 * perf users of this machine (it returns 0), and the profile is too small.
 */
bool cprof_wait_events_see(const struct cprof_wait_events *events);

/* One raw record, for tests and fuzzing: false where it is no futex call of these tracepoints. */
bool cprof_wait_events_decode(const void *raw, size_t n_raw, uint64_t enter_id, uint64_t exit_id,
			      struct cprof_wait_events_call *ret);
bool cprof_wait_events_decode_waitv(const void *raw, size_t n_raw, uint64_t enter_id,
				    uint64_t exit_id, struct cprof_wait_events_call *ret);

#endif
