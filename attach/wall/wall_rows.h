/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_rows.h - from accounts and what was seen of each thread to the rows of the profile.
 *
 * Each state of each account is divided among the stacks that were seen in it, so that the values of a thread add up to its
 * lifetime whatever was seen; what nothing is known of has a row of its own that says so. Threads that never ran and wait
 * for work in the same place are one row, or none.
 */
#ifndef CPROF_ATTACH_WALL_WALL_ROWS_H
#define CPROF_ATTACH_WALL_WALL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/run/session.h"
#include "attach/wall/ledger.h"
#include "attach/wall/wall_parts.h"
#include "attach/waits/wait_intake.h"
#include "cprof/builder.h"
#include "cprof/error.h"

/* The sample types, for cprof_session_new(). The first is the default. */
extern const struct cprof_builder_type cprof_wall_types[];
extern const size_t cprof_wall_n_types;

/* What the rows come to; for people. */
struct cprof_wall_sums {
	uint64_t threads, cpu_ns, queue_ns, off_ns, stopped_ns; /* without those that are idle */
	uint64_t unknown_ns;   /* blocked, and nobody knows where */
	uint64_t unsampled_ns; /* on a CPU, and not sampled */
	double samples;        /* on a CPU */
	uint64_t idle_threads, idle_places, idle_ns;
};

/* Two processes' together. */
void cprof_wall_sums_add(struct cprof_wall_sums *sums, const struct cprof_wall_sums *more);

/*
 * Add everything to intake's session. `parts` has the CPU samples; waits come from the intake. `show_idle`: idle threads
 * get their rows too. Where ledger->timed is set rows say when they were, `samples` when those of each part (key) were, and accounts and
 * parts become what of them lies in the window. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wall_rows_fill(struct cprof_wait_intake *intake,
					 struct cprof_ledger *ledger,
					 struct cprof_wall_parts *parts,
					 const struct cprof_time_spans *samples, bool show_idle,
					 struct cprof_wall_sums *ret_sums);

#endif
