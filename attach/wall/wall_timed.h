/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_timed.h - when the time of a wall profile's rows was: accounts and parts as they are in the window, and rows step by step.
 *
 * The window may be a part of what was recorded: what lies beside it does not count. In each step of time the rows of a thread add up to as much
 * of the step as it lived, whatever was seen (wall_spread.h).
 */
#ifndef CPROF_ATTACH_WALL_WALL_TIMED_H
#define CPROF_ATTACH_WALL_WALL_TIMED_H

#include <stddef.h>
#include <stdint.h>

#include "attach/run/time_spans.h"
#include "attach/wall/ledger.h"
#include "attach/wall/wall_parts.h"
#include "attach/wall/wall_row.h"
#include "attach/waits/wait_intake.h"
#include "cprof/error.h"

/* What a sample's span has (cprof_time_spans_add()). */
enum { CPROF_WALL_SAMPLE_WEIGHT, CPROF_WALL_SAMPLE_COUNT, CPROF_WALL_SAMPLE_VALUES };

struct cprof_wall_timed {
	/* Borrowed; set by who wants one. */
	struct cprof_wall_row_maker *maker;
	struct cprof_ledger *ledger;
	struct cprof_wall_parts *parts;
	const struct cprof_time_spans *samples; /* of each part of CPU samples (key) */

	uint32_t *
		row_parts; /* owned; of each row of the waits' table: the part of its delays, and that of its queues */
	uint32_t n_steps;
	uint64_t start_ns, end_ns, step_ns;
	struct cprof_wall_timed_ref *refs; /* owned; spans of parts, part by part */
	size_t *first_ref;                 /* owned */
	size_t *by_account, *first_span;   /* owned; spans of the ledger, account by account */
	uint64_t *needs_ns;                /* owned; of each step */
	struct cprof_wall_piece *pieces;   /* owned */
	size_t cap_pieces;
};

/* Room for what is told before it begins. Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_timed_init(struct cprof_wall_timed *timed);
void cprof_wall_timed_deinit(struct cprof_wall_timed *timed);

/* Delays (or `queues`) of row `row` of the waits' table are those of part `part`. */
void cprof_wall_timed_row(struct cprof_wall_timed *timed, uint32_t row, bool queues, size_t part);

/* All has been told: accounts and parts become what of them lies in the run's window. Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_timed_begin(struct cprof_wall_timed *timed);

/*
 * Divide `state` of account `at` among parts, which get known_ns of it; the rest is shown as nobody's. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wall_timed_divide(struct cprof_wall_timed *timed, size_t at, size_t state,
					    const struct cprof_wall_part *const *parts, size_t n,
					    uint64_t known_ns);

#endif
