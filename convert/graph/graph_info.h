/*
 * convert/graph/graph_info.h - the first step of a graph: nodes' identities. graph.c's own.
 */
#ifndef CPROF_CONVERT_GRAPH_GRAPH_INFO_H
#define CPROF_CONVERT_GRAPH_GRAPH_INFO_H

#include "convert/graph/graph.h"

/* Fill infos[], slots[] and slot_of[]: slots[slot_of[location] + line] is an info. */
struct cprof_error *cprof_graph_make_infos(struct cprof_graph *graph, struct cprof_report *report);

#endif
