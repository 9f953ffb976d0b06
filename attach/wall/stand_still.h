/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/stand_still.h - whether a process stands still because somebody has stopped it: by a signal, a tracer or the
 * freezer of its cgroup. Its threads then wait for nothing of their own.
 *
 * Read from /proc: proc(5) "/proc/pid/stat" state, "/proc/pid/wchan". Stops nobody.
 */
#ifndef CPROF_ATTACH_WALL_STAND_STILL_H
#define CPROF_ATTACH_WALL_STAND_STILL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Whether thread `tid` of `pid` stands still now; `state` is its letter of proc(5). */
bool cprof_stand_still_thread(pid_t pid, pid_t tid, char state);

/* How long a process has stood still, as far as looks at it tell. */
struct cprof_stand_still {
	pid_t pid;
	uint64_t looked_ns; /* CLOCK_MONOTONIC, of the last look; 0: none yet */
	bool now;           /* at that look */
	uint64_t ns;        /* between two looks that both found it so */
};

/* Look; true if it stands still. A stop makes all threads of a process stand still, so its first one is looked at. */
bool cprof_stand_still_look(struct cprof_stand_still *still, uint64_t mono_ns);

#endif
