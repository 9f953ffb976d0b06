/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/http/http_query.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/percent.h"

/* False: a broken escape. */
static bool decode(const char *text, size_t n, struct cprof_buffer *out)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '%') {
			cprof_buffer_putc(out, text[i] == '+' ? ' ' : text[i]);
			continue;
		}
		char byte;
		if (!cprof_percent_byte(text + i, n - i, &byte))
			return false;
		cprof_buffer_putc(out, byte);
		i += CPROF_PERCENT_BYTES - 1;
	}
	return true;
}

/* One "name=value"; true where it is the one that is looked for and is whole. */
static bool take(const char *pair, size_t n, const char *name, struct cprof_buffer *value)
{
	CPROF_AUTO(buffer) struct cprof_buffer key = { 0 }, text = { 0 };
	const char *equals = memchr(pair, '=', n);
	const size_t n_key = equals ? (size_t)(equals - pair) : n;
	if (!n || memchr(pair, ';', n) || !decode(pair, n_key, &key) ||
	    strcmp(cprof_buffer_text(&key), name) != 0)
		return false;
	if (equals && !decode(equals + 1, n - n_key - 1, &text))
		return false;
	cprof_buffer_puts(value, cprof_buffer_text(&text));
	return true;
}

bool cprof_http_query_get(const char *query, size_t n, const char *name, struct cprof_buffer *value)
{
	for (size_t at = 0; at <= n;) {
		const char *end = memchr(query + at, '&', n - at);
		const size_t len = end ? (size_t)(end - query) - at : n - at;
		if (take(query + at, len, name, value))
			return true;
		at += len + 1;
	}
	return false;
}
