/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_shim_left.h - what a killed run left injected in a process, and how it is taken out.
 *
 * Everything needed is in the code page it left (shim_proto.h): which bytes were changed, what they were, and in which
 * mapping. The page is the target's memory: a place is touched only where it is code of a file and gets back what the file has
 * there (heap_row.h). Works on forked children of a profiled process too, which carry
 * the jumps of their parent. Uses the detach of heap_install.h.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_SHIM_LEFT_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_SHIM_LEFT_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/target/stop_tally.h"
#include "attach/target/target.h"
#include "cprof/error.h"
#include "cprof/maps.h"

struct cprof_heap_shim_left {
	uint32_t pages;        /* code mappings found */
	uint32_t restored;     /* places whose bytes were put back */
	uint32_t lost_objects; /* places that were another's by now, and left alone */
	bool page_kept;        /* try again later: */
	char kept_why[256];
	struct cprof_stop_tally stops;
};

/*
 * Stops the threads if there is something. `maps` is refreshed. Finding nothing is no error: pages is 0 then. Errors: as
 * cprof_heap_install_detach(), DENIED if the run that made it is alive or cannot be seen, UNSUPPORTED (another version's),
 * BAD_DATA (it names changes that are none of ours: nothing was touched).
 */
struct cprof_error *cprof_heap_shim_left_remove(struct cprof_target *target,
						struct cprof_maps *maps,
						struct cprof_heap_shim_left *ret_left);

#endif
