/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_spread.h - a thread's time of one state, of which it is known how much there was in each step of time, divided among what
 * was seen of it and when.
 *
 * Pure. Each step's sum is exact in any case. Of waits, of which some stand for many, what each gets of the whole is to come out right as well,
 * which is its share by weight (wall_share.h): they are served first in the steps where they were seen, as far as that goes, and what is left of
 * them goes in the order of time to the steps that nobody has filled. A sample stands for the time around it, however much that was.
 */
#ifndef CPROF_ATTACH_WALL_WALL_SPREAD_H
#define CPROF_ATTACH_WALL_WALL_SPREAD_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

#define CPROF_WALL_NOBODY UINT32_MAX

struct cprof_wall_piece {
	uint32_t step, part;
	double weight;
};

/* `ns` of `step` are `part`'s; CPROF_WALL_NOBODY: nobody was seen. May come several times for both. */
typedef struct cprof_error *cprof_wall_spread_fn(void *ctx, uint32_t step, uint32_t part,
						 uint64_t ns);

/*
 * needs_ns[step] is what there was. `pieces` are in the order of steps, which are below n_steps; all of them together get `known_ns` of the sum
 * of needs. Errors: NO_MEMORY, and what `fn` returns.
 */
struct cprof_error *cprof_wall_spread(const uint64_t *needs_ns, uint32_t n_steps,
				      const struct cprof_wall_piece *pieces, size_t n,
				      uint64_t known_ns, cprof_wall_spread_fn *fn, void *ctx);

/* The same by samples: a step is divided among those in it, else it is of the next one, or else of the one before. Without any it is nobody's. */
struct cprof_error *cprof_wall_spread_near(const uint64_t *needs_ns, uint32_t n_steps,
					   const struct cprof_wall_piece *pieces, size_t n,
					   cprof_wall_spread_fn *fn, void *ctx);

#endif
