/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/dwarf/dwarf_cursor.h - reading DWARF's numbers and strings out of a run of bytes, never past its end.
 *
 * After the first read that does not fit, `failed` is set, everything reads as 0 and the cursor stands at the
 * end: loops that run to the end stop by themselves, and whoever cares looks at `failed` once.
 */
#ifndef CPROF_SYMBOLIZE_DWARF_DWARF_CURSOR_H
#define CPROF_SYMBOLIZE_DWARF_DWARF_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cprof_cursor {
	const uint8_t *at, *end;
	bool failed;
};

static inline void cprof_cursor_fail(struct cprof_cursor *cursor)
{
	cursor->failed = true;
	cursor->at = cursor->end;
}

static inline size_t cprof_cursor_left(const struct cprof_cursor *cursor)
{
	return (size_t)(cursor->end - cursor->at);
}

static inline void cprof_cursor_skip(struct cprof_cursor *cursor, uint64_t n)
{
	if (n > cprof_cursor_left(cursor))
		cprof_cursor_fail(cursor);
	else
		cursor->at += n;
}

/* `size` bytes (1 to 8), little-endian. */
static inline uint64_t cprof_cursor_fixed(struct cprof_cursor *cursor, size_t size)
{
	uint64_t value = 0;
	if (size > cprof_cursor_left(cursor)) {
		cprof_cursor_fail(cursor);
		return 0;
	}
	for (size_t i = 0; i < size; i++)
		value |= (uint64_t)cursor->at[i] << 8 * i;
	cursor->at += size;
	return value;
}

static inline uint8_t cprof_cursor_u8(struct cprof_cursor *cursor)
{
	if (cursor->at == cursor->end) {
		cursor->failed = true;
		return 0;
	}
	return *cursor->at++;
}

static inline uint16_t cprof_cursor_u16(struct cprof_cursor *cursor)
{
	return (uint16_t)cprof_cursor_fixed(cursor, 2);
}

static inline uint32_t cprof_cursor_u32(struct cprof_cursor *cursor)
{
	return (uint32_t)cprof_cursor_fixed(cursor, 4);
}

static inline uint64_t cprof_cursor_u64(struct cprof_cursor *cursor)
{
	return cprof_cursor_fixed(cursor, 8);
}

static inline uint64_t cprof_cursor_uleb(struct cprof_cursor *cursor)
{
	if (cursor->at != cursor->end && *cursor->at < 0x80)
		return *cursor->at++;
	uint64_t value = 0;
	for (unsigned shift = 0; cursor->at != cursor->end; shift += 7) {
		uint8_t byte = *cursor->at++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return value;
	}
	cprof_cursor_fail(cursor);
	return 0;
}

static inline int64_t cprof_cursor_sleb(struct cprof_cursor *cursor)
{
	uint64_t value = 0;
	for (unsigned shift = 0; cursor->at != cursor->end;) {
		uint8_t byte = *cursor->at++;
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
		if (!(byte & 0x80)) {
			if (shift < 64 && (byte & 0x40))
				value |= ~0ull << shift;
			return (int64_t)value;
		}
	}
	cprof_cursor_fail(cursor);
	return 0;
}

static inline void cprof_cursor_skip_leb(struct cprof_cursor *cursor)
{
	while (cursor->at != cursor->end) {
		if (!(*cursor->at++ & 0x80))
			return;
	}
	cprof_cursor_fail(cursor);
}

/* A zero-terminated string, borrowed; "" on failure. */
static inline const char *cprof_cursor_string(struct cprof_cursor *cursor)
{
	const uint8_t *start = cursor->at;
	const uint8_t *zero =
		start == cursor->end ? NULL : memchr(start, 0, cprof_cursor_left(cursor));
	if (!zero) {
		cprof_cursor_fail(cursor);
		return "";
	}
	cursor->at = zero + 1;
	return (const char *)start;
}

/* DWARF's length field; the escape 0xffffffff announces the 64-bit format. */
static inline uint64_t cprof_cursor_length(struct cprof_cursor *cursor, uint8_t *ret_offset_size)
{
	uint64_t length = cprof_cursor_u32(cursor);
	*ret_offset_size = 4;
	if (length == 0xffffffff) {
		*ret_offset_size = 8;
		return cprof_cursor_u64(cursor);
	}
	if (length >= 0xfffffff0)
		cprof_cursor_fail(cursor);
	return length;
}

#endif
