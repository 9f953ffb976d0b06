/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/graph_labels.h - the header lines of a graph-like report: the profile's, the filters', and what is left out.
 */
#ifndef CPROF_CONVERT_GRAPH_GRAPH_LABELS_H
#define CPROF_CONVERT_GRAPH_GRAPH_LABELS_H

#include <stdbool.h>

#include "convert/graph/graph.h"
#include "cprof/buffer.h"

/* Appended. `full` is for drawings: the profile's labels always, dropped edges, and a hint at the end. */
void cprof_graph_labels(const struct cprof_graph *graph, bool full, struct cprof_buffer *out);

#endif
