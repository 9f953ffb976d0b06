/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/node_json.h - a report's head and its nodes as members of a JSON object, for scripts and for the web view alike.
 */
#ifndef CPROF_CONVERT_OUTPUT_NODE_JSON_H
#define CPROF_CONVERT_OUTPUT_NODE_JSON_H

#include <stdio.h>

#include "convert/graph/graph.h"

/* `{"TITLE":program,"type":...,"unit":...`: the object is open. */
void cprof_node_json_head(const struct cprof_report *report, const char *title, FILE *out);

/* `"name":...`, and "function" and "file" where they are known. */
void cprof_node_json_names(const struct cprof_profile *profile, const char *name,
			   const struct cprof_node_info *info, FILE *out);

/* The names, "line" and "address" where they are known, "flat" and "cum". */
void cprof_node_json_put(struct cprof_graph *graph, uint32_t node, FILE *out);

#endif
