/* SPDX-License-Identifier: Apache-2.0 */
#include "base/percent.h"

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
