/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/serve/endpoint.h"

#include <string.h>

#define HEAP_TYPES                                                                                 \
	{                                                                                          \
		"alloc_objects", "alloc_space", "inuse_objects", "inuse_space"                     \
	}
#define WAIT_TYPES                                                                                 \
	{                                                                                          \
		"contentions", "delay"                                                             \
	}

/* In the order of Go's index, which is the alphabet's. */
const struct cprof_endpoint cprof_endpoints[] = {
	{ .name = "allocs",
	  .kind = CPROF_ENDPOINT_SINCE,
	  .mode = "heap",
	  .summary =
		  "who has allocated memory since the recording began (samples of all allocations)",
	  .types = HEAP_TYPES,
	  .state_from = 2,
	  .default_type = "alloc_space",
	  .text = "heap" },
	{ .name = "block",
	  .kind = CPROF_ENDPOINT_SINCE,
	  .mode = "block",
	  .summary = "where threads have waited for locks since the recording began",
	  .types = WAIT_TYPES,
	  .state_from = 2,
	  .text = "contention" },
	{ .name = "cmdline",
	  .kind = CPROF_ENDPOINT_CMDLINE,
	  .summary = "the command line of the process" },
	{ .name = "delta_block",
	  .file = "block.pprof.gz",
	  .kind = CPROF_ENDPOINT_DELTA,
	  .mode = "block",
	  .summary = "block, since this was asked for the last time",
	  .types = WAIT_TYPES,
	  .state_from = 2,
	  .text = "contention" },
	{ .name = "delta_heap",
	  .file = "heap.pprof.gz",
	  .kind = CPROF_ENDPOINT_DELTA,
	  .mode = "heap",
	  .summary = "heap, with the allocations since this was asked for the last time",
	  .types = HEAP_TYPES,
	  .state_from = 2,
	  .default_type = "inuse_space",
	  .text = "heap" },
	{ .name = "delta_mutex",
	  .file = "mutex.pprof.gz",
	  .kind = CPROF_ENDPOINT_DELTA,
	  .mode = "mutex",
	  .summary = "mutex, since this was asked for the last time",
	  .types = WAIT_TYPES,
	  .state_from = 2,
	  .text = "mutex" },
	{ .name = "goroutine",
	  .kind = CPROF_ENDPOINT_MOMENT,
	  .mode = "threads",
	  .summary = "the stacks of all threads now, under the name that Go's tools ask for; "
		     "debug=2 is the form of a Go panic",
	  .types = { "goroutine" },
	  .types_of = { "threads" },
	  .period_type = "goroutine" },
	{ .name = "heap",
	  .kind = CPROF_ENDPOINT_SINCE,
	  .mode = "heap",
	  .summary = "what of the memory allocated since the recording began is in use",
	  .types = HEAP_TYPES,
	  .state_from = 2,
	  .default_type = "inuse_space",
	  .text = "heap" },
	{ .name = "mutex",
	  .kind = CPROF_ENDPOINT_SINCE,
	  .mode = "mutex",
	  .summary = "who has made others wait, by the stack that released the lock",
	  .types = WAIT_TYPES,
	  .state_from = 2,
	  .text = "mutex" },
	{ .name = "profile",
	  .kind = CPROF_ENDPOINT_WINDOW,
	  .mode = "cpu",
	  .summary = "where processor time goes, for seconds=N (30) from now; then use "
		     "go tool pprof or cprof to look at it",
	  .state_from = CPROF_ENDPOINT_TYPES },
	{ .name = "symbol", .kind = CPROF_ENDPOINT_SYMBOL },
	{ .name = "threadcreate",
	  .kind = CPROF_ENDPOINT_SINCE,
	  .mode = "threadcreate",
	  .summary = "which stacks have started threads since the recording began",
	  .types = { "threadcreate" },
	  .state_from = 1,
	  .quiet = true },
	{ .name = "threads",
	  .kind = CPROF_ENDPOINT_MOMENT,
	  .mode = "threads",
	  .summary = "the stacks of all threads now; debug=2 tells what each waits for",
	  .types = { "threads" } },
	{ .name = "trace",
	  .kind = CPROF_ENDPOINT_NOT_THERE,
	  .refusal = "an execution trace is of Go's scheduler, and this process has none; "
		     "/debug/pprof/profile and /debug/pprof/block show where time goes" },
	{ .name = "wall",
	  .kind = CPROF_ENDPOINT_SPELL,
	  .mode = "wall",
	  .summary =
		  "where all of each thread's time goes, on a CPU and off it, for seconds=N (30) "
		  "from now; /debug/fgprof is the same" },
};
const size_t cprof_n_endpoints = sizeof(cprof_endpoints) / sizeof(cprof_endpoints[0]);

const struct cprof_endpoint *cprof_endpoint_find(const char *name)
{
	for (size_t i = 0; i < cprof_n_endpoints; i++) {
		if (strcmp(cprof_endpoints[i].name, name) == 0)
			return &cprof_endpoints[i];
	}
	return NULL;
}
