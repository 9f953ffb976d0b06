/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/dot_tags.h - the small boxes for tags beside a node in a drawing. report_dot.c's own.
 */
#ifndef CPROF_CONVERT_OUTPUT_DOT_TAGS_H
#define CPROF_CONVERT_OUTPUT_DOT_TAGS_H

#include <stdio.h>

#include "convert/graph/graph.h"

/*
 * Write the boxes of `node`, which is drawn as N`id`. `*ret_any` tells whether there are any. A node has room for the four
 * heaviest texts; `*n_cut` grows by those with a weight that have no box. (Numbers are taken together to ranges: none is lost.)
 */
struct cprof_error *cprof_dot_tags_write(struct cprof_graph *graph, uint32_t node, uint32_t id,
					 FILE *out, bool *ret_any, uint64_t *n_cut);

#endif
