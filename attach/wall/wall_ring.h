/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_ring.h - the last minute of a wall mode that looks back: what is older than the run's ring is forgotten.
 *
 * Waits, samples and accounts all say when they were (attach/run/time_spans.h); a profile of a stretch of time is what of them lies in it
 * (wall_timed.h). Here they are kept from growing: times that are too old go, and parts, accounts and stacks that no time refers to.
 */
#ifndef CPROF_ATTACH_WALL_WALL_RING_H
#define CPROF_ATTACH_WALL_WALL_RING_H

#include <stdint.h>

#include "attach/run/time_spans.h"
#include "attach/wall/ledger.h"
#include "attach/wall/wall_parts.h"
#include "attach/waits/wait_ring.h"
#include "attach/waits/wait_watch.h"
#include "cprof/error.h"

struct cprof_wall_ring {
	struct cprof_wait_watch *watch; /* borrowed, as the next three */
	struct cprof_ledger *ledger;
	struct cprof_wall_parts *parts;
	struct cprof_time_spans *samples;
	struct cprof_wait_ring waits;
};

/* When the window begins. */
void cprof_wall_ring_start(struct cprof_wall_ring *ring, uint64_t mono_ns);
void cprof_wall_ring_deinit(struct cprof_wall_ring *ring);

/* After a drain; nothing where the run does not look back. Errors: NO_MEMORY. */
struct cprof_error *cprof_wall_ring_turn(struct cprof_wall_ring *ring);

/*
 * For a profile, once, in a copy of the process or at the end, when all accounts are there: the window becomes what the run's ring is asked for,
 * with times from the beginning of a step on, and waits that are open at its end are taken. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wall_ring_cut(struct cprof_wall_ring *ring);

#endif
