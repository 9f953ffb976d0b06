/* SPDX-License-Identifier: Apache-2.0 */
#include "base/percent.h"

#include <string.h>

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	const char low = (char)(c | 0x20);
	return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

bool cprof_percent_byte(const char *text, size_t n, char *ret_byte)
{
	if (n < CPROF_PERCENT_BYTES || text[0] != '%')
		return false;
	const int high = hex(text[1]), low = hex(text[2]);
	if (high < 0 || low < 0)
		return false;
	*ret_byte = (char)(high * 16 + low);
	return true;
}

static bool is_unreserved(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       strchr("-._~", c);
}

void cprof_percent_encode(const char *text, struct cprof_buffer *out)
{
	for (; *text; text++) {
		if (is_unreserved(*text))
			cprof_buffer_putc(out, *text);
		else
			cprof_buffer_printf(out, "%%%02X", (unsigned char)*text);
	}
}

void cprof_percent_decode(const char *text, size_t n, struct cprof_buffer *out)
{
	for (size_t i = 0; i < n;) {
		char c = text[i];
		const bool escaped = cprof_percent_byte(text + i, n - i, &c);
		cprof_buffer_putc(out, c);
		i += escaped ? CPROF_PERCENT_BYTES : 1;
	}
}
