/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/quiet.h - a recording that goes on for days looks less often where nothing happens.
 *
 * A sleeping process with everything recorded cost 6.3 ms of processor time a second and 210 wake-ups, all for looks at nothing.
 */
#ifndef CPROF_ATTACH_RUN_QUIET_H
#define CPROF_ATTACH_RUN_QUIET_H

#include <stdint.h>

#define CPROF_QUIET_TURNS 3 /* doublings at most: 8 times as long */

struct cprof_quiet {
	uint64_t seen;
	unsigned turns; /* in which nothing came */
};

/* How long to wait instead of `wait_ns`, where `seen` counts whatever comes: twice as long after each turn in which nothing has. */
static inline uint64_t cprof_quiet_wait_ns(struct cprof_quiet *quiet, uint64_t seen,
					   uint64_t wait_ns)
{
	if (seen != quiet->seen)
		quiet->turns = 0;
	else if (quiet->turns < CPROF_QUIET_TURNS)
		quiet->turns++;
	quiet->seen = seen;
	return wait_ns << quiet->turns;
}

#endif
