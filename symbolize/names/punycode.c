/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/names/punycode.h"

#include <string.h>

bool cprof_punycode_is_code_point(uint32_t c)
{
	return c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
}

static unsigned puny_digit(char c)
{
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a');
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 26;
	return 36;
}

static uint32_t puny_bias(uint32_t delta, uint32_t n, bool first)
{
	uint32_t k = 0;
	delta = first ? delta / 700 : delta / 2;
	for (delta += delta / n; delta > 455; k += 36)
		delta /= 35;
	return k + 36 * delta / (delta + 38);
}

/* How far the next code point lies ahead; false: no punycode. */
static bool puny_delta(const char **at, const char *end, uint32_t bias, uint32_t *ret_delta)
{
	uint64_t delta = 0, weight = 1;
	for (uint32_t k = 36;; k += 36) {
		unsigned digit = *at < end ? puny_digit(*(*at)++) : 36;
		uint32_t threshold = k <= bias ? 1 : k >= bias + 26 ? 26 : k - bias;
		delta += digit * weight;
		if (digit == 36 || delta > UINT32_MAX)
			return false;
		if (digit < threshold)
			break;
		weight *= 36 - threshold;
		if (weight > UINT32_MAX)
			return false;
	}
	*ret_delta = (uint32_t)delta;
	return true;
}

bool cprof_punycode_decode(const char *plain, size_t n_plain, const char *text, size_t n_text,
			   uint32_t *points, size_t cap, size_t *ret_n)
{
	const char *at = text, *end = text + n_text;
	uint32_t n = (uint32_t)n_plain, bias = 72, delta = 0;
	uint64_t point = 0x80, place = 0;
	if (n_plain > cap)
		return false;
	for (uint32_t i = 0; i < n; i++)
		points[i] = (uint8_t)plain[i];
	for (bool first = true; at < end; first = false) {
		if (!puny_delta(&at, end, bias, &delta) || n == cap)
			return false;
		place += delta;
		n++;
		point += place / n;
		place %= n;
		if (point > UINT32_MAX || !cprof_punycode_is_code_point((uint32_t)point))
			return false;
		memmove(points + place + 1, points + place, (n - 1 - place) * sizeof(*points));
		points[place++] = (uint32_t)point;
		bias = puny_bias(delta, n, first);
	}
	*ret_n = n;
	return true;
}
