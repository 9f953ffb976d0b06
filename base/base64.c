/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

void cprof_base64_encode(const void *bytes, size_t n, struct cprof_buffer *out)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *at = bytes;
	for (; n; at += 3) {
		size_t have = n < 3 ? n : 3;
		uint32_t three = (uint32_t)at[0] << 16 | (have > 1 ? (uint32_t)at[1] << 8 : 0) |
				 (have > 2 ? (uint32_t)at[2] : 0);
		for (size_t i = 0; i < 4; i++)
			cprof_buffer_putc(out,
					  i <= have ? digits[three >> (18 - 6 * i) & 63] : '=');
		n -= have;
	}
}

static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

bool cprof_base64_decode(const char *text, size_t n, struct cprof_buffer *out)
{
	uint32_t bits = 0;
	unsigned n_bits = 0, n_padding = 0;
	while (n && text[n - 1] == '=' && n_padding < 2) {
		n--;
		n_padding++;
	}
	for (size_t i = 0; i < n; i++) {
		const int value = digit(text[i]);
		if (value < 0)
			return false;
		bits = bits << 6 | (uint32_t)value;
		n_bits += 6;
		if (n_bits < 8)
			continue;
		n_bits -= 8;
		cprof_buffer_putc(out, (char)(bits >> n_bits & 0xff));
	}
	return n_bits < 6 && (n_padding == 0 || (n + n_padding) % 4 == 0);
}
