/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_run.h - the heap profile: who allocates, and what of it lives, by samples of allocations.
 *
 * The target's code is changed while the window is open, and its threads stand still for a few milliseconds at both ends,
 * unless all of its allocators are watched by uprobes. docs/heap.md.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_RUN_H
#define CPROF_ATTACH_HEAP_HEAP_RUN_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/alloc/heap_sizes.h"
#include "attach/heap/alloc/pool_spec.h"
#include "attach/heap/heap_oom.h"
#include "attach/run/run.h"
#include "cprof/error.h"
#include "cprof/profile.h"

struct cprof_heap_request {
	uint64_t period_bytes; /* mean between two samples; 1: every allocation */
	double overhead;       /* the share of a processor that sampling may cost, 0.01; 0: any */
	const char *method;    /* "auto", or a row of heap_method.c */
	const struct cprof_pool_specs *pools; /* borrowed: allocators of the program's own */
	struct cprof_heap_sizes sizes;        /* of the calls that are sampled */
	bool mmap;     /* memory that the program maps past its allocators is seen as well */
	bool baseline; /* what was held before the attach is in the profile as well (heap_before.h) */
	bool snapshot;       /* only that, now: nothing is watched (heap_snapshot.h) */
	bool ages;           /* what is in use is told apart by age (convert/profile/heap_age.h) */
	uint64_t history_ns; /* between two moments whose use goes into the profile; 0: none does */
	uint64_t
		since_ns; /* the profile is of what has changed since so long after the start; 0: all */
	struct cprof_heap_on_oom on_oom;
};

/* How often the target may be stopped and for how long, told before; empty where nobody is. */
void cprof_heap_promise(const struct cprof_heap_request *request, char *text, size_t n);

/*
 * All targets in one profile: each is watched by itself (heap_apart.h), and one that cannot be is left out with a warning as long as
 * another can. Sample until the window is over, and hand out the finished profile. On return, error or not, the target is as it was
 * found. Errors: those of cprof_heap_attach(), UNSUPPORTED (a command that has not begun yet), OS, NO_MEMORY.
 */
struct cprof_error *cprof_heap_run(const struct cprof_run *run,
				   const struct cprof_heap_request *request,
				   struct cprof_profile **ret_profile);

#endif
