/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_install.h - put the shim into a process and take it out again.
 *
 * Owns the order in which things are done to the target, and that all of it is undone: two kinds of mappings
 * (heap_pages.h), a jump in each function (heap_jump.h). Order and record make every moment a good one to die in: the code
 * page says what will be changed before it is changed, every change is one store, and what is half done works or does
 * nothing.
 *
 *   plan      symbols, code, addresses: the target runs
 *             now the caller may have some of the hooks watched in another way, or refuse them
 *   attach    all threads stopped: map, fill, move threads out of the first instructions, jumps, go
 *   detach    all threads stopped: bytes back and compared; unmap once nobody is inside; go
 *
 * Stopping is ptrace.h's, calls in the target remote.h's, relocation patch.h's; samples are heap_reader.h's.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_INSTALL_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_INSTALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/alloc/heap_sizes.h"
#include "attach/heap/alloc/pool_spec.h"
#include "attach/heap/inject/heap_hook.h"
#include "attach/heap/inject/heap_pages.h"
#include "attach/target/remote.h"
#include "attach/target/stop_series.h"
#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/maps.h"

/* How often all threads may be stopped, which is told to users beforehand; how long is stop_series.h's. */
#define CPROF_HEAP_INSTALL_ATTACH_STOPS 8
#define CPROF_HEAP_INSTALL_DETACH_STOPS 10

struct cprof_heap_install {
	struct cprof_target *target;    /* borrowed */
	struct cprof_maps *maps;        /* borrowed */
	struct cprof_heap_hooks *hooks; /* borrowed; NULL: there is only something to be detached */
	struct cprof_heap_pages pages;
	struct cprof_remote_gadgets gadgets;
	size_t n_entered; /* hooks before this one are in the code mappings, if they are to be there */
	bool attached;
	struct cprof_tracer tracer; /* who stops the threads */

	/* For the summary. */
	struct cprof_stop_tally attach_stops,
		detach_stops; /* attach: those for later allocators too */
	uint32_t patched, restored;
	bool page_kept;
	bool jumps_kept; /* nobody could be stopped for the detach: all is in place still, asleep */
	char kept_why[256];    /* what the last try to take it out found; empty: nothing */
	uint32_t lost_objects; /* patches whose mapping was gone or another by then */
};

/* What is wanted. */
struct cprof_heap_install_options {
	uint64_t period;                      /* bytes; 1: every call */
	const struct cprof_pool_specs *pools; /* borrowed; the user's own allocators; NULL: none */
	struct cprof_heap_sizes sizes;        /* of the calls that are sampled */
};

void cprof_heap_install_init(struct cprof_heap_install *install, struct cprof_target *target,
			     struct cprof_maps *maps, struct cprof_heap_hooks *hooks);
/* Gives memory back; does not touch the target. */
void cprof_heap_install_deinit(struct cprof_heap_install *install);

/*
 * Find the functions, choose addresses, relocate: what can be patched is PLANNED. The target runs and nothing in it is
 * changed.
 *
 * Errors: NO_TARGET, DENIED (permission; another cprof-attach is active: says which), USAGE (a pool that is not there),
 * UNSUPPORTED (no allocator found, no room, memory shared with another process).
 */
struct cprof_error *cprof_heap_install_plan(struct cprof_heap_install *install,
					    const struct cprof_heap_install_options *options);

/*
 * Put the shim in for the hooks that are PLANNED still; if there are none, nothing is done and install->attached stays
 * false. Stops all threads for a few milliseconds. On error the target is as it was.
 *
 * Errors: NO_TARGET, DENIED (permission; traced by another), UNSUPPORTED (no function that allocates is watched or can
 * be, seccomp), OS (EEXIST: the target mapped something where we were to go: plan anew).
 */
struct cprof_error *cprof_heap_install_attach(struct cprof_heap_install *install);

/*
 * The same two steps for the allocators of objects that were mapped since (dlopen); install->maps must be fresh. What
 * cannot be hooked is refused. Stops the threads only if there is something to put in. After an error what was in place
 * is in place still; if the threads could not be stopped the next call tries again.
 */
struct cprof_error *cprof_heap_install_plan_more(struct cprof_heap_install *install);
struct cprof_error *cprof_heap_install_extend(struct cprof_heap_install *install);

/* Called by detach while the threads stand still and the original bytes are back: the last look at the data. */
typedef struct cprof_error *cprof_heap_final(void *ctx);

/*
 * Take it out. Stops all threads for a few milliseconds, more than once if one of them is inside our code; after
 * about a second of that the pages are left (harmless, nothing leads to them) and page_kept is set. Where the threads
 * cannot be stopped within the bounds (stop_series.h) all of it is put to sleep and left, for -repair: jumps_kept is set
 * too, and `final` is called while they run. A target that has ended or runs another program by now is no error. `final`
 * may be NULL.
 */
struct cprof_error *cprof_heap_install_detach(struct cprof_heap_install *install,
					      cprof_heap_final *final, void *ctx);

#endif
