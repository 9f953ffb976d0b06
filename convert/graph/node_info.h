/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/node_info.h - what makes two frames one node of a graph, and what the node is called.
 *
 * A location's lines are given their infos once, before the first sample is looked at; from then on all work on samples is
 * on indices. How fine infos are (addresses, lines, files, object files) follows from the report's format and granularity.
 */
#ifndef CPROF_CONVERT_GRAPH_NODE_INFO_H
#define CPROF_CONVERT_GRAPH_NODE_INFO_H

#include <stdint.h>

#include "convert/report/report.h"
#include "cprof/error.h"

/* Strings are the profile's. */
struct cprof_node_info {
	uint32_t name, file, objfile;
	uint64_t address;
	int64_t start_line, line, column;
};

/* All infos of a prepared report, in order of their first location. */
struct cprof_node_infos {
	const struct cprof_profile *profile; /* borrowed */
	struct cprof_node_info *all;         /* owned, as all arrays here */
	uint32_t n;
	char **names; /* by info; made when first asked for */

	/* The lines of location i, innermost first, are slots[slot_of[i]] up to slots[slot_of[i + 1] - 1]: each an info. */
	uint32_t *slots, *slot_of;
};

/* File names are trimmed and cleaned as the options say, and the results added to the profile's strings. */
struct cprof_error *cprof_node_infos_init(struct cprof_node_infos *infos,
					  const struct cprof_report *report);
void cprof_node_infos_deinit(struct cprof_node_infos *infos);

/* "ADDRESS FUNCTION FILE:LINE" of what is known; never empty. Borrowed from `infos`. */
const char *cprof_node_infos_name(struct cprof_node_infos *infos, uint32_t info);

/* The same, its parts joined by `separator`, with the name and file as given; appended. */
void cprof_node_infos_compose(const struct cprof_node_infos *infos,
			      const struct cprof_node_info *info, const char *name,
			      const char *file, const char *separator, struct cprof_buffer *out);

#endif
