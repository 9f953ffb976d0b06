/* SPDX-License-Identifier: Apache-2.0 */
#include "base/base64.h"

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
