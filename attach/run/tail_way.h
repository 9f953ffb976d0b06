/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/tail_way.h - the way of tail calls from the function that was called to the one that runs.
 *
 * Owns the reading of the caller's call, the search along jumps, and what may be concluded of it. Source of truth: the code itself;
 * the words of a linkage table are read in the process, where the dynamic linker has filled them. Does not stop it.
 */
#ifndef CPROF_ATTACH_RUN_TAIL_WAY_H
#define CPROF_ATTACH_RUN_TAIL_WAY_H

#include "cprof/error.h"
#include "cprof/maps.h"
#include "cprof/module.h"
#include "symbolize/names/names.h"

#define CPROF_TAIL_WAY_MAX 6 /* functions that have left one after the other */

/* A run-time address, as in a stack's frame: of a jump its last byte. */
struct cprof_tail_step {
	struct cprof_map *map;
	uint64_t addr;
};

/* From the function that was called on; n == 0: none has left, or none can be told. */
struct cprof_tail_way {
	struct cprof_tail_step steps[CPROF_TAIL_WAY_MAX];
	size_t n;
};

struct cprof_tail_ways {
	struct cprof_modules *modules;     /* borrowed */
	struct cprof_names_options naming; /* borrowed */
	uint64_t code_left; /* bytes that may still be read for jumps, of the whole run */
};

/* `naming`: how names are asked for, as by everybody else who looks into these modules (symbolizer_names.h). */
void cprof_tail_ways_init(struct cprof_tail_ways *ways, struct cprof_modules *modules,
			  struct cprof_names_options naming);

/*
 * The functions between `inner`, where a frame is, and `outer`, the look-up address of its caller. Both maps belong to `maps`.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_tail_ways_find(struct cprof_tail_ways *ways,
					 const struct cprof_maps *maps,
					 const struct cprof_tail_step *inner,
					 const struct cprof_tail_step *outer,
					 struct cprof_tail_way *ret_way);

#endif
