/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/graph/dot_text.h - any text as a part of a string in Graphviz's language, so that it is drawn as it is.
 *
 * Source of truth: "The DOT Language" (strings in double quotes, escString, HTML entities in labels) of Graphviz, and what
 * `dot -Tsvg` leaves alone in names because it looks like an entity: that is no XML where none is called so ("[&str; 3]").
 */
#ifndef CPROF_CONVERT_GRAPH_DOT_TEXT_H
#define CPROF_CONVERT_GRAPH_DOT_TEXT_H

#include <stddef.h>

#include "cprof/buffer.h"

#define CPROF_DOT_LEFT   "\\l" /* ends a line that begins at the left */
#define CPROF_DOT_CENTER "\\n" /* ends a line that stands in the middle */

/*
 * Append `n` bytes of `text` for between double quotes: quotes, backslashes and what looks like an HTML entity are
 * escaped, a newline becomes `line_end`, one of the above.
 */
void cprof_dot_text_put(struct cprof_buffer *out, const char *text, size_t n, const char *line_end);

#endif
