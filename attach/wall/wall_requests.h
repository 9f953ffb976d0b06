/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_requests.h - labels of requests in a wall profile: CPU samples and waits have their threads' contexts read alike.
 *
 * Where a process has them, and what labels they make, is attach/context/contexts.h's.
 */
#ifndef CPROF_ATTACH_WALL_WALL_REQUESTS_H
#define CPROF_ATTACH_WALL_WALL_REQUESTS_H

#include "attach/cpu/cpu_run_feed.h"
#include "attach/waits/wait_watch.h"
#include "cprof/error.h"

/*
 * What is new in the process: contexts that its threads have are read from now on, with samples (`feed`; NULL: there are none) and waits. Where
 * one of these cannot it is told at the end. Stops nobody. Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wall_requests_look(struct cprof_cpu_feed *feed,
					     struct cprof_wait_watch *watch);

#endif
