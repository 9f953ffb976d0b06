/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/stop_series.h - something that needs the whole process to stand still: when to stop it, how long, how often.
 *
 * Owns the bounds that users are told. Each stop is at most CPROF_STOP_SERIES_NS long before everybody has come, else all
 * are let go and a pause follows that doubles; a thread that hangs in the kernel is waited for while all run. Only where
 * threads are ready to run but get no processor is the bound of later stops doubled too, up to CPROF_STOP_SERIES_STARVED_NS.
 * Of more than a thousand threads the bound is CPROF_STOP_SERIES_THREAD_NS for each from the first stop on, up to the same: to tell them
 * all takes that long, and stops in vain would come to more. Who was met at a bad place is not stopped again before it has run, within
 * CPROF_STOP_SERIES_PROGRESS_NS in all.
 */
#ifndef CPROF_ATTACH_TARGET_STOP_SERIES_H
#define CPROF_ATTACH_TARGET_STOP_SERIES_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/target/ptrace.h"
#include "attach/target/stop_tally.h"
#include "attach/target/target.h"
#include "attach/target/tracer.h"
#include "cprof/error.h"

#define CPROF_STOP_SERIES_NS         (20 * 1000000ull)
#define CPROF_STOP_SERIES_STARVED_NS (160 * 1000000ull)
#define CPROF_STOP_SERIES_THREAD_NS  20000ull
/* In all, until threads that were met at a bad place have had a processor (thread_progress.h). */
#define CPROF_STOP_SERIES_PROGRESS_NS (10000 * 1000000ull)

/* What is done while everybody stands still. *ret_again: not now, but soon (with or without an error). */
typedef struct cprof_error *cprof_stop_series_work(void *ctx, struct cprof_ptrace *trace,
						   bool *ret_again);

struct cprof_stop_series {
	const struct cprof_target *target; /* borrowed, as all */
	struct cprof_tracer *tracer;
	struct cprof_stop_tally *tally; /* every stop is added to it */
	unsigned stops_max;
	uint64_t
		calm_ns; /* in all, for a moment in which nobody hangs in the kernel; all run meanwhile */

	bool unstopped; /* result: the error is that somebody could not be stopped */
};

/*
 * Stop, work, let go, until the work says that it is done or that it failed for good, or the stops are used up. Then what
 * the last one said: NULL too, if that was "again" without an error.
 *
 * Errors: those of `work` and of cprof_ptrace_stop(); UNSUPPORTED with series->unstopped.
 */
struct cprof_error *cprof_stop_series_run(struct cprof_stop_series *series,
					  cprof_stop_series_work *work, void *ctx);

#endif
