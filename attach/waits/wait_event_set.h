/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_event_set.h - the futex tracepoints of one process, opened with perf: which events, on whom, into which rings.
 *
 * Per CPU there are the entry of futex (arguments only) and its return, with registers and stack, and one ring. Where there are very many
 * calls, of one return in `period` only; then there is one more on the return that has the result only. futex_waitv has as many once more.
 *
 * Where one may (CAP_PERFMON in the first PID namespace), they are events of the whole CPU with a filter by thread
 * (thread_runs.h). Else, for an ordinary user on his own processes at kernel.perf_event_paranoid 2, each thread has its
 * own, which new threads inherit; then the kernel works on them whenever it takes such a thread off a CPU or puts it on one, and that
 * is the greater part of what this costs the target (docs/block.md). What the records say is wait_events.h's.
 *
 * Source of truth: perf_event_open(2).
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_EVENT_SET_H
#define CPROF_ATTACH_WAITS_WAIT_EVENT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/perf/perf_event.h"
#include "attach/perf/perf_record.h"
#include "attach/target/target.h"
#include "attach/waits/futex_tracepoint.h"
#include "attach/waits/thread_runs.h"
#include "cprof/error.h"
#include "cprof/hash.h"

struct cprof_wait_event_set {
	const struct cprof_target *target; /* borrowed */
	bool releases;
	bool wide; /* events of CPUs, not of threads */
	uint32_t stack_bytes;
	struct cprof_perf_layout light, heavy;

	struct cprof_futex_tracepoints points;
	bool waitv; /* futex_waitv is followed too */
	uint64_t period;
	int *cpus; /* owned, as all below */
	size_t n_cpus;
	struct cprof_perf_event_ring **rings; /* one per CPU */
	size_t n_rings;
	struct cprof_wait_event_fds {
		int *fds;
		size_t n, cap;
	} entries, results, stacks;                  /* the last two are of returns */
	struct cprof_map64 followed, followed_waitv; /* thread ids, where each has its own events */
	size_t looked;                 /* threads that were looked at for futex_waitv */
	struct cprof_thread_runs runs; /* of the filter, where they are of CPUs */
};

/*
 * `set` is zeroed but for target, releases and stack_bytes. `each_thread`: do not even try events of CPUs. Errors: DENIED, UNSUPPORTED,
 * NO_TARGET, OS (too many threads for the limit of open files; the hint says so). To be closed after an error too.
 */
struct cprof_error *cprof_wait_event_set_open(struct cprof_wait_event_set *set, bool each_thread);
void cprof_wait_event_set_close(struct cprof_wait_event_set *set);

/*
 * Whether a thread sleeps in futex_waitv by now; then that call is followed from here on, where it is not always. Reads /proc of
 * at most 64 threads. Errors: as open.
 */
struct cprof_error *cprof_wait_event_set_look(struct cprof_wait_event_set *set);

/*
 * From now on every `period`th return only brings a stack, and it is the first of two records of that return. A thread that has inherited its events
 * keeps the period that it was born with.
 */
void cprof_wait_event_set_thin(struct cprof_wait_event_set *set, uint64_t period);

/* Make the filter anew, for the threads that there are now. Nothing to do where each thread has its own events. Errors: as open. */
struct cprof_error *cprof_wait_event_set_refresh(struct cprof_wait_event_set *set);

#endif
