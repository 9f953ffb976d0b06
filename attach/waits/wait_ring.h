/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/waits/wait_ring.h - waits of the last minute: what each row of the sums has grown by, tenth of a second by tenth of a second.
 *
 * Tiers go on adding to rows (wait_table.h) as ever; here the sums are read from time to time, and what has come to them since goes
 * into the run's ring (attach/run/sample_ring.h). A wait is therefore of the moment in which it ended, with all its time, to 0.2 s.
 * Rows that neither the ring nor the tier refers to are thrown out, and stacks with them.
 */
#ifndef CPROF_ATTACH_WAITS_WAIT_RING_H
#define CPROF_ATTACH_WAITS_WAIT_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/waits/wait_intake.h"
#include "attach/waits/wait_watch.h"
#include "cprof/error.h"

#define CPROF_WAIT_RING_SPAN_BYTES                                                                 \
	(2 * sizeof(struct cprof_time_span)) /* with its places in hashes */

/* What a mode keeps besides waits, in the same session; all NULL: nothing. */
struct cprof_wait_ring_more {
	struct cprof_error *(*forget)(void *ctx, uint64_t before_ns); /* times that are older */
	size_t (*bytes)(const void *ctx);
	cprof_session_carry_fn *carry; /* stacks, as in session.h */
	void *ctx;
};

/* A zeroed struct has seen nothing yet. */
struct cprof_wait_ring {
	struct cprof_wait_ring_more more;
	struct cprof_wait_ring_sums {
		double count, delay_ns, queue_ns;
	} * seen; /* owned; of each row, as of the last turn */
	uint32_t n, cap;
	uint64_t turned_ns;
	uint64_t kept_ns; /* when last it was forgotten when old waits were */
};

void cprof_wait_ring_deinit(struct cprof_wait_ring *ring);

/* After a drain: what has come goes into the run's ring, if there is one and it is time. Errors: NO_MEMORY. */
struct cprof_error *cprof_wait_ring_turn(struct cprof_wait_ring *ring,
					 struct cprof_wait_watch *watch);

/*
 * For a profile, once, in a copy of the process or at the end: the sums become those of the time that the run's ring is asked for, and
 * so do the window and the counts. Waits that are open at its end are in them where the process lives. Nothing without a ring. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wait_ring_cut(struct cprof_wait_ring *ring,
					struct cprof_wait_watch *watch);

#endif
