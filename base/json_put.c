/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_put.h"

#include <stdio.h>
#include <string.h>

#include "base/printable.h"

size_t cprof_json_escape(const char *at, size_t n, char *out, size_t *ret_n)
{
	const unsigned char c = (unsigned char)*at;
	const size_t len = cprof_utf8_length(at, n);
	if (len > 1) {
		memcpy(out, at, len);
		*ret_n = len;
		return len;
	}
	if (!len)
		*ret_n = (size_t)snprintf(out, CPROF_JSON_ESCAPE_MAX, "\\ufffd");
	else if (c == '"' || c == '\\')
		*ret_n = (size_t)snprintf(out, CPROF_JSON_ESCAPE_MAX, "\\%c", c);
	else if (c < 0x20 || c == '<' || c == 0x7f)
		*ret_n = (size_t)snprintf(out, CPROF_JSON_ESCAPE_MAX, "\\u%04x", c);
	else
		out[0] = (char)c, *ret_n = 1;
	return 1;
}

void cprof_json_put(struct cprof_buffer *out, const char *text)
{
	char escaped[CPROF_JSON_ESCAPE_MAX];
	cprof_buffer_putc(out, '"');
	for (size_t left = strlen(text), used, n; left; text += used, left -= used) {
		used = cprof_json_escape(text, left, escaped, &n);
		cprof_buffer_append(out, escaped, n);
	}
	cprof_buffer_putc(out, '"');
}
