/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/formats/utf16.h"

#define BAD_CHARACTER 0xfffd

#define LOOK_AT 16 /* bytes of a text without a mark */

static bool has_mark(const uint8_t *bytes, size_t n)
{
	return n >= 2 &&
	       ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff));
}

/* Of a text, with or without a mark. */
static bool is_big_endian(const uint8_t *bytes)
{
	return bytes[0] == 0xfe || bytes[0] == 0;
}

static bool is_plain(uint8_t byte)
{
	return (byte >= 0x20 && byte < 0x7f) || byte == '\t' || byte == '\r' || byte == '\n';
}

bool cprof_utf16_is(const uint8_t *bytes, size_t n)
{
	if (has_mark(bytes, n))
		return n < 4 || bytes[2] || bytes[3]; /* or it is the mark of UTF-32 */
	if (n < LOOK_AT)
		return false;
	bool big = is_big_endian(bytes);
	for (size_t i = 0; i < LOOK_AT; i += 2) {
		if (bytes[i + !big] || !is_plain(bytes[i + big]))
			return false;
	}
	return true;
}

static uint32_t unit_at(const uint8_t *bytes, bool big)
{
	return big ? (uint32_t)bytes[0] << 8 | bytes[1] : (uint32_t)bytes[1] << 8 | bytes[0];
}

static void put_character(struct cprof_buffer *out, uint32_t c)
{
	if (c < 0x80) {
		cprof_buffer_putc(out, (char)c);
		return;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const uint8_t first[] = { 0, 0xc0, 0xe0, 0xf0 };
	cprof_buffer_putc(out, (char)(first[more] | c >> (6 * more)));
	while (more-- > 0)
		cprof_buffer_putc(out, (char)(0x80 | (c >> (6 * more) & 0x3f)));
}

struct cprof_error *cprof_utf16_to_utf8(const uint8_t *bytes, size_t n, struct cprof_buffer *out)
{
	bool big = is_big_endian(bytes);
	for (size_t at = has_mark(bytes, n) ? 2 : 0; at + 1 < n; at += 2) {
		uint32_t c = unit_at(bytes + at, big);
		uint32_t low = at + 3 < n ? unit_at(bytes + at + 2, big) : 0;
		if (c >= 0xd800 && c < 0xdc00 && low >= 0xdc00 && low < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00));
			at += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			c = BAD_CHARACTER;
		}
		put_character(out, c);
	}
	cprof_buffer_putc(out, 0);
	out->len -= out->len > 0;
	return cprof_buffer_error(out);
}
