/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/report_folded.c - folded: "root;caller;leaf VALUE", a line a stack, as flame graph tools read it.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "convert/graph/stack_tree.h"

/* The way from the root to `node`, into path[]; its length. `path` has room for all nodes. */
static uint32_t find_path(const struct cprof_graph *tree, uint32_t node, uint32_t *path)
{
	uint32_t n = 0;
	for (; node != CPROF_GRAPH_NONE; node = tree->nodes[node].parent)
		path[n++] = node;
	return n;
}

static struct cprof_error *put_stacks(struct cprof_report *report, struct cprof_graph *tree,
				      FILE *out)
{
	CPROF_AUTO(free) uint32_t *path = calloc((size_t)tree->n_nodes + 1, sizeof(*path));
	CPROF_AUTO(buffer) struct cprof_buffer line = { 0 };
	if (!path)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < tree->n_nodes; i++) {
		int64_t value = cprof_node_flat(&tree->nodes[i]);
		if (!value)
			continue;
		if (report->ratio > 0 && report->ratio != 1)
			value = cprof_measure_truncate((double)value * report->ratio);
		line.len = 0;
		for (uint32_t n = find_path(tree, i, path); n-- > 0;) {
			cprof_stack_tree_name(tree, path[n], ';', &line);
			cprof_buffer_putc(&line, n ? ';' : ' ');
		}
		cprof_buffer_printf(&line, "%" PRId64 "\n", value);
		fwrite(cprof_buffer_text(&line), 1, line.len, out);
	}
	return cprof_buffer_error(&line);
}

static struct cprof_error *write_folded(struct cprof_report *report, FILE *out)
{
	CPROF_AUTO(graph) struct cprof_graph *tree = NULL;
	struct cprof_error *err = cprof_stack_tree_new(report, &tree);
	return err ? err : put_stacks(report, tree, out);
}

const struct cprof_format cprof_format_folded = {
	.name = "folded",
	.help = "a line a stack: root;caller;leaf VALUE",
	.suffix = "folded",
	.flags = CPROF_FORMAT_NO_TRIM | CPROF_FORMAT_TREE,
	.write = write_folded,
};
