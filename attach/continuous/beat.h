/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/continuous/beat.h - when windows end: at moments that are far apart on different hosts, and always the same on one.
 *
 * Ten thousand agents that were started by one command would otherwise push in the same second for ever. Where in the interval the windows of
 * a process end is a hash of the host and the process; it hangs on the wall clock, so that a restart changes nothing.
 */
#ifndef CPROF_ATTACH_CONTINUOUS_BEAT_H
#define CPROF_ATTACH_CONTINUOUS_BEAT_H

#include <stdint.h>
#include <sys/types.h>

struct cprof_beat {
	uint64_t every_ns;
	uint64_t phase_ns; /* below every_ns */
};

/* `every_ns` is not 0. `host`: its name. */
struct cprof_beat cprof_beat_of(const char *host, pid_t pid, uint64_t every_ns);

/* How long it is from `wall_ns` to the next end of a window; more than 0, at most every_ns. */
uint64_t cprof_beat_wait_ns(const struct cprof_beat *beat, uint64_t wall_ns);

#endif
