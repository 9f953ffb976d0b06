/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_claim.h - whose injected code it is that is found in a process, and whether that run is still alive.
 *
 * A run signs the code page with its process id, the id's start time and its PID namespace (shim_proto.h). The page is the
 * target's memory, and nothing of it is believed that has not been compared with something else.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_CLAIM_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_CLAIM_H

#include <stdbool.h>

#include "attach/heap/shim/shim_proto.h"
#include "cprof/error.h"
#include "cprof/maps.h"

/* Sign as this process. */
void cprof_heap_claim_fill(struct cprof_shim_image *image);

/*
 * NULL if what `image` is the head of is nobody's any more: its maker has ended, or never had this process open (a forked
 * child's, or a page that names somebody else). Else CPROF_ERR_DENIED: a run that lives, its PID named as seen from here, and
 * only if it is a cprof-attach; or a maker that cannot be seen from this PID namespace.
 */
struct cprof_error *cprof_heap_claim_busy(const struct cprof_maps *maps,
					  const struct cprof_shim_image *image);

/*
 * The next mapping of ours in `maps` at or above `from`: *ret_map and the head of its page. One that was mapped but
 * never written (its maker was killed right then) has magic 0. False if there is none.
 */
bool cprof_heap_claim_find(const struct cprof_maps *maps, uint64_t from,
			   const struct cprof_map **ret_map, struct cprof_shim_image *ret_image);

/* NULL if nobody is in there; else CPROF_ERR_DENIED saying who is attached, or how to remove what was left. */
struct cprof_error *cprof_heap_claim_check(const struct cprof_maps *maps);

#endif
