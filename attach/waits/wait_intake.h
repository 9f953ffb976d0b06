/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_intake.h - what a tier hands its waits to, and what of a run the tiers and the profile share.
 *
 * A tier (wait_tier.h) finds waits and gives each one that it keeps to cprof_wait_intake_take(), weighed already. What
 * happens to them then is common to all tiers and is here: the walk of the stack, the question whether an owner is a
 * thread, and the sum (wait_table.h). wait_run.h sets it up; wait_profile.h makes the profile of it in the end.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_INTAKE_H
#define CPROF_ATTACH_WAITS_WAIT_INTAKE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/context/contexts.h"
#include "attach/locks/wait.h"
#include "attach/locks/wait_evidence.h"
#include "attach/run/run.h"
#include "attach/run/session.h"
#include "attach/run/time_spans.h"
#include "attach/waits/wait_request.h"
#include "attach/waits/wait_table.h"
#include "cprof/error.h"
#include "cprof/hash.h"
#include "cprof/symbolizer.h"

struct cprof_wait_intake {
	const struct cprof_run *run; /* borrowed, as all pointers here */
	const struct cprof_wait_request *request;
	struct cprof_session *session;
	struct cprof_process *process;
	struct cprof_contexts *contexts; /* NULL: labels of requests are not wanted */

	bool adaptive;
	uint64_t rate_ns;      /* of Go's law, now; the tier follows it */
	uint64_t rate_most_ns; /* the highest it has been */
	uint64_t
		skip_ns; /* looks count from here on: it stood still before, and waited for nothing */
	uint64_t looks; /* by a tier that looks, in the window */
	uint64_t lost;  /* waits that the tier knows it missed; it adds to this */

	/* Releases of mutexes that had named an owner, and those by that very thread: the tier's, at its end. */
	uint64_t owned, agreed;

	uint64_t records; /* waits taken so far */
	uint64_t
		stack_every; /* the stack of one wait in so many is its own, at most; 0, 1: each one's */
	struct cprof_wait_table table;
	bool timed; /* set by who wants to know when waits were */
	struct cprof_time_spans
		times;              /* then: of each row of the table (key) what is in the enum */
	struct cprof_map64 threads; /* numbers seen as owners -> 1 where that was a thread then */
	struct cprof_wait_evidences evidences; /* how futex words are used */
	bool tells_wakes;                      /* the tier knows who ends a wait */

	double contended; /* waits, or in mutex mode releases, of what is contention */
	/* Waits for work, which the default view, and the mutex profile, leave out; by kind. */
	struct cprof_wait_left_out {
		double count, delay_ns;
	} left_out[CPROF_WAIT_KIND_N];
};

/* What the table has of a row, and intake->times say when that was. */
enum { CPROF_WAIT_COUNT, CPROF_WAIT_DELAY, CPROF_WAIT_QUEUE, CPROF_WAIT_VALUES };

/*
 * A wait (or in mutex mode a release) that the tier kept, with the sample taken of its thread there. Walks the
 * stack and adds it up; errors: NO_MEMORY. `*ret_row` is where it went, in intake->table; may be NULL.
 */
struct cprof_error *cprof_wait_intake_take(struct cprof_wait_intake *intake,
					   const struct cprof_wait *wait,
					   const struct cprof_session_sample *sample,
					   uint32_t *ret_row);

/* The two halves of it: where there is something to be done about the stack in between. */
struct cprof_error *cprof_wait_intake_walk(struct cprof_wait_intake *intake,
					   const struct cprof_session_sample *sample,
					   struct cprof_session_stack *ret_stack);
struct cprof_error *cprof_wait_intake_add(struct cprof_wait_intake *intake,
					  const struct cprof_wait *wait,
					  const struct cprof_session_stack *stack,
					  uint32_t *ret_row);

/* A wait without a sample: it bears the stack of row `row`; of none where there is no such row. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_intake_take_alike(struct cprof_wait_intake *intake,
						 const struct cprof_wait *wait, uint32_t row);

/* A row of no wait yet for the like of `wait`, which keeps that stack for others: its number. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_intake_keep(struct cprof_wait_intake *intake,
					   const struct cprof_wait *wait,
					   const struct cprof_session_stack *stack,
					   uint32_t *ret_row);

/* More of what row `row` has already: `wait` tells count, delays and times. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_intake_more(struct cprof_wait_intake *intake, uint32_t row,
					   const struct cprof_wait *wait);

/* It turns out to be open: `wait`, which was added to row `row` bit by bit, goes to the row that says so. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_intake_open(struct cprof_wait_intake *intake, uint32_t row,
					   const struct cprof_wait *wait);

/*
 * How names are looked up while the mode needs them itself: as at the end of the session, since a module's files are
 * opened once, by whoever asks first.
 */
struct cprof_symbolizer_options
cprof_wait_intake_symbolizer(const struct cprof_wait_intake *intake);

/* The owner that the call itself tells, where it does: who is joined, and who holds a robust mutex. */
void cprof_wait_intake_find_owner(struct cprof_wait *wait);

/* Where the window ended; UINT64_MAX while it is open. What happens after it is not counted. */
uint64_t cprof_wait_intake_end_ns(const struct cprof_wait_intake *intake);

#endif
