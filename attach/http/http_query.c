#include "attach/http/http_query.h"

#include <ctype.h>
#include <string.h>

#include "base/cleanup.h"

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	const int low = tolower((unsigned char)c);
	return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

/* False: a broken escape. */
static bool decode(const char *text, size_t n, struct cprof_buffer *out)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] != '%') {
			cprof_buffer_putc(out, text[i] == '+' ? ' ' : text[i]);
			continue;
		}
		const int high = i + 2 < n ? hex(text[i + 1]) : -1;
		const int low = i + 2 < n ? hex(text[i + 2]) : -1;
		if (high < 0 || low < 0)
			return false;
		cprof_buffer_putc(out, (char)(high * 16 + low));
		i += 2;
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
