/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/graphviz.h - other programs that turn a report into a picture or show one.
 */
#ifndef CPROF_CONVERT_OUTPUT_GRAPHVIZ_H
#define CPROF_CONVERT_OUTPUT_GRAPHVIZ_H

#include <stdbool.h>
#include <stdio.h>

#include "cprof/error.h"

/* Whether there is a Graphviz to draw with. */
bool cprof_graphviz_installed(void);

/*
 * Draw: `in` (from its beginning) through `dot -T<type>` to `out`. Errors: CPROF_ERR_UNSUPPORTED with a hint where Graphviz
 * is not installed; CPROF_ERR_OS where it fails.
 */
struct cprof_error *cprof_graphviz_draw(const char *type, FILE *in, FILE *out);

/*
 * Show `path` in a viewer: "web" is $BROWSER or the first browser found, anything else a program and its arguments.
 * `wait` until the viewer ends. Errors: CPROF_ERR_UNSUPPORTED naming the file, where there is none.
 */
struct cprof_error *cprof_graphviz_show(const char *viewer, const char *path, bool wait);

#endif
