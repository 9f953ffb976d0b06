/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_notes.h - what people are told of a wall profile: how its time was come by, what it comes to, how exact it is and what
 * it lacks. All of it goes into the run's log, and with that into the profile's comments.
 */
#ifndef CPROF_ATTACH_WALL_WALL_NOTES_H
#define CPROF_ATTACH_WALL_WALL_NOTES_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/wall/wall_rows.h"
#include "attach/wall/wall_tier.h"
#include "attach/waits/wait_watch.h"

/* Of all processes together. Pointers are borrowed. */
struct cprof_wall_notes {
	const struct cprof_wall_tier *tier;
	const struct cprof_wait_watch *watch; /* of the one that was looked at least */
	uint64_t looks;                       /* at it */
	uint64_t rate_most_ns;                /* of the waits that were kept (wait_intake.h) */
	uint64_t missed;                      /* threads without an account */
	uint64_t dropped;                     /* parts without a row */
	const struct cprof_wall_sums *sums;
	bool shows_idle;
	bool user_only; /* the kernel may not be sampled */
	uint64_t
		looked_back_ns; /* that it recorded until a profile of a part of that was made; 0: it is of all */
	uint64_t slept_ns; /* that the machine was suspended meanwhile */
};

void cprof_wall_notes_tell(const struct cprof_wall_notes *notes);

#endif
