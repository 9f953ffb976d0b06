/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/graph/dot_text.h"

#include <ctype.h>
#include <stdbool.h>

/* "&amp;", "&#65;", and what Graphviz takes for one, "&;" included. A lone ampersand stays. */
static bool is_entity(const char *text, size_t n)
{
	size_t i = 1;
	if (i < n && text[i] == '#')
		i++;
	while (i < n && isalnum((unsigned char)text[i]))
		i++;
	return i < n && text[i] == ';';
}

void cprof_dot_text_put(struct cprof_buffer *out, const char *text, size_t n, const char *line_end)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\n') {
			cprof_buffer_puts(out, line_end);
			continue;
		}
		if (text[i] == '\\' || text[i] == '"')
			cprof_buffer_putc(out, '\\');
		cprof_buffer_putc(out, text[i]);
		if (text[i] == '&' && is_entity(text + i, n - i))
			cprof_buffer_puts(out, "amp;");
	}
}
