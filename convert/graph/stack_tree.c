/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/stack_tree.h"

#include "base/cleanup.h"

struct cprof_error *cprof_stack_tree_new(struct cprof_report *report, struct cprof_graph **ret_tree)
{
	report->config.call_tree = true;
	return cprof_graph_new(report, 0, ret_tree);
}

void cprof_stack_tree_name(struct cprof_graph *tree, uint32_t node, char avoid,
			   struct cprof_buffer *out)
{
	for (const char *at = cprof_graph_name(tree, node); *at; at++) {
		if (*at == avoid)
			cprof_buffer_putc(out, ':');
		else
			cprof_buffer_putc(out, *at == '\n' || *at == '\r' ? ' ' : *at);
	}
}
