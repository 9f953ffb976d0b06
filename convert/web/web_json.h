/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/web/web_json.h - what the JSON of all pages begins with.
 *
 * Values are the profile's own numbers in the unit named in "unit", to be multiplied with "ratio"; nothing is rounded.
 */
#ifndef CPROF_CONVERT_WEB_WEB_JSON_H
#define CPROF_CONVERT_WEB_WEB_JSON_H

#include <stdint.h>
#include <stdio.h>

#include "convert/graph/graph.h"
#include "convert/report/report.h"

/* {"title":…,"type":…,"unit":…,"total":…,"ratio":…,"labels":[…] and the object stays open; `graph` may be NULL. */
void cprof_web_json_head(const struct cprof_report *report, const struct cprof_graph *graph,
			 FILE *out);

#endif
