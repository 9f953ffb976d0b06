/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_snapshot.h - what a process's allocators hold at this moment, read from outside: -snapshot.
 *
 * One look, about 0.3 s of our time for a gigabyte. Nobody is stopped, nothing is injected: what heap profiles refuse (a
 * traced process, one under seccomp) can be looked at.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_SNAPSHOT_H
#define CPROF_ATTACH_HEAP_HEAP_SNAPSHOT_H

#include "attach/run/run.h"
#include "cprof/error.h"
#include "cprof/profile.h"

/* A profile of inuse_objects and inuse_space. Errors: NO_TARGET, DENIED, UNSUPPORTED, OS, NO_MEMORY. */
struct cprof_error *cprof_heap_snapshot(const struct cprof_run *run,
					struct cprof_profile **ret_profile);

#endif
