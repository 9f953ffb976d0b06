/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/threads/thread_capture.h - registers and stack bytes of every thread of a live process, without stopping it.
 *
 * For each thread the first of these that works: the BPF task iterator (thread_iter.h); /proc for a sleeping thread;
 * one perf sample for a running one (thread_running.h); a ptrace stop, only where the caller allows it
 * (thread_freeze.h). How the stack of a thread is copied that sleeps and may wake at any time is thread_copy.h's.
 */
#ifndef CPROF_ATTACH_THREADS_THREAD_CAPTURE_H
#define CPROF_ATTACH_THREADS_THREAD_CAPTURE_H

#include <stdbool.h>

#include "attach/run/run_log.h"
#include "attach/target/target.h"
#include "attach/threads/thread.h"
#include "attach/threads/thread_observer.h"
#include "cprof/error.h"

enum cprof_thread_stops {
	CPROF_STOPS_NEVER,
	CPROF_STOPS_LAST, /* a thread that nothing else reaches */
	CPROF_STOPS_ALL,  /* everybody together, for one consistent moment */
};

struct cprof_thread_capture_options {
	enum cprof_thread_stops stops;
	size_t stack_bytes; /* copied per thread, at most; 0: leave the memory alone */
	enum cprof_thread_observer_by by; /* who tells of the threads */
	const char *cache_dir;            /* borrowed; for the capture's start; NULL: none */
	bool no_perf;                     /* running threads have no stack then */
	bool stops_only;                  /* with STOPS_ALL: who did not stop has no stack */
	uint64_t running_ns;              /* how long to wait for running threads' samples */
};

struct cprof_thread_capture;

/* `target` and `log` are borrowed. Means that this machine does not permit are noted (-v) and left out. */
struct cprof_error *cprof_thread_capture_new(struct cprof_target *target,
					     const struct cprof_thread_capture_options *options,
					     struct cprof_run_log *log,
					     struct cprof_thread_capture **ret_capture);
/* From the next snapshot on; `by` stays what it was. */
void cprof_thread_capture_set_options(struct cprof_thread_capture *capture,
				      const struct cprof_thread_capture_options *options);

void cprof_thread_capture_free(struct cprof_thread_capture *capture);

/*
 * All threads now. Every thread that /proc lists has a row, whatever state it is in; what could not be read of it says
 * why. Bounded: options->running_ns, plus a few microseconds per thread. Errors: NO_TARGET, DENIED, OS.
 */
struct cprof_error *cprof_thread_capture_take(struct cprof_thread_capture *capture,
					      struct cprof_thread_snapshot *ret_snapshot);

/*
 * Read the states of `snapshot`'s threads again, without stacks: for seeing whether a wait still lasts. Rows that are
 * gone have state 'X'.
 */
struct cprof_error *cprof_thread_capture_states(struct cprof_thread_capture *capture,
						struct cprof_thread_snapshot *ret_snapshot);

/*
 * The same for threads that have been told of: where nothing but a stop tells in which call a thread is, and stops are
 * permitted, those are stopped once more, for a moment and after the states were read. `ret_snapshot->stops` counts that.
 */
struct cprof_error *cprof_thread_capture_again(struct cprof_thread_capture *capture,
					       struct cprof_thread_snapshot *ret_snapshot);

#endif
