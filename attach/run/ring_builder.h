/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/ring_builder.h - samples in a ring whose numbers are those of a builder's stacks and sets of labels.
 */
#ifndef CPROF_ATTACH_RUN_RING_BUILDER_H
#define CPROF_ATTACH_RUN_RING_BUILDER_H

#include "attach/run/sample_ring.h"
#include "attach/run/timeline.h"
#include "cprof/builder.h"
#include "cprof/error.h"

/*
 * The samples' stacks and labels are those of `to` from now on, which cprof_builder_again() has made of `from` and which knows no
 * others afterwards. Errors: NO_MEMORY; then it has to be freed, and the ring is as before.
 */
struct cprof_error *cprof_ring_builder_carry(struct cprof_sample_ring *ring,
					     const struct cprof_builder *from,
					     struct cprof_builder *to);

/*
 * Count in `builder` what of the ring lies in its [from, until), or in `timeline` where that is not NULL, whose zero is start_ns. Errors:
 * NO_MEMORY.
 */
struct cprof_error *cprof_ring_builder_fill(const struct cprof_sample_ring *ring,
					    struct cprof_builder *builder,
					    struct cprof_timeline *timeline, uint64_t start_ns);

#endif
