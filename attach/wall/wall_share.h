/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/wall/wall_share.h - a known total divided by weights, so that the parts add up to it exactly.
 *
 * Pure. The method is that of the largest remainders: each part is its exact value rounded down, and what is left goes, one
 * by one, to those that lost most by it.
 */
#ifndef CPROF_ATTACH_WALL_WALL_SHARE_H
#define CPROF_ATTACH_WALL_WALL_SHARE_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

/*
 * Divide `total` by `n` weights, of which those that are no positive numbers count as 0. Where all are 0 every part is 0.
 * Errors: NO_MEMORY.
 */
struct cprof_error *cprof_wall_share(uint64_t total, const double *weights, size_t n,
				     uint64_t *ret_parts);

/*
 * How much of `total_ns` measured weights of `sum_ns` together are to be given, the rest being nobody's: all of it where what is missing may be
 * chance, else what they say. Weights are of waits that were kept by Go's law at `rate_ns` (wait.h), so their sum has a standard deviation of
 * sqrt(total * rate) at most; a tenth of the total is let go besides.
 */
uint64_t cprof_wall_share_known(uint64_t total_ns, double sum_ns, uint64_t rate_ns);

#endif
