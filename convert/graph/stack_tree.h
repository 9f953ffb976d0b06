/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/stack_tree.h - all stacks of a report as one tree: what flame graphs and folded stacks are made of.
 */
#ifndef CPROF_CONVERT_GRAPH_STACK_TREE_H
#define CPROF_CONVERT_GRAPH_STACK_TREE_H

#include "convert/graph/graph.h"

/*
 * The call tree of a report, as a graph without edges: node.parent is the parent (CPROF_GRAPH_NONE for a
 * root), which always stands before its children. Sets report->config.call_tree.
 */
struct cprof_error *cprof_stack_tree_new(struct cprof_report *report,
					 struct cprof_graph **ret_tree);

/* The name of a node, for reports that separate names by `avoid`: that byte and line ends are replaced. */
void cprof_stack_tree_name(struct cprof_graph *tree, uint32_t node, char avoid,
			   struct cprof_buffer *out);

#endif
