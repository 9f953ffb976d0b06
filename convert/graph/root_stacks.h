/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/root_stacks.h - the stacks of all samples as infos from the root to the leaf, inlined calls opened, in one array.
 *
 * For those who go over them several times; four bytes a frame.
 */
#ifndef CPROF_CONVERT_GRAPH_ROOT_STACKS_H
#define CPROF_CONVERT_GRAPH_ROOT_STACKS_H

#include <stddef.h>
#include <stdint.h>

#include "convert/graph/node_info.h"
#include "cprof/error.h"

/* Sample i has frames[start[i] .. start[i + 1]). */
struct cprof_root_stacks {
	uint32_t *frames; /* owned */
	size_t *start;    /* owned */
};

struct cprof_error *cprof_root_stacks_init(struct cprof_root_stacks *stacks,
					   const struct cprof_node_infos *infos);
void cprof_root_stacks_deinit(struct cprof_root_stacks *stacks);

#endif
