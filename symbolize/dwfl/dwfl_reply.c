/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/dwfl/dwfl_reply.h"

#include <string.h>

#include "symbolize/dwarf/dwarf_cursor.h"

static void put_number(struct cprof_buffer *out, uint32_t number)
{
	const uint8_t bytes[] = { (uint8_t)number, (uint8_t)(number >> 8), (uint8_t)(number >> 16),
				  (uint8_t)(number >> 24) };
	cprof_buffer_append(out, bytes, sizeof(bytes));
}

static void put_text(struct cprof_buffer *out, const char *text)
{
	cprof_buffer_append(out, text, strnlen(text, CPROF_DWFL_TEXT_MAX));
	cprof_buffer_append(out, "", 1);
}

void cprof_dwfl_reply_write(const struct cprof_dwarf_frame *frames, size_t n,
			    struct cprof_buffer *out)
{
	for (size_t i = 0; i < n; i++) {
		put_number(out, frames[i].line);
		put_number(out, frames[i].column);
		put_number(out, frames[i].start_line);
		put_text(out, frames[i].name);
		put_text(out, frames[i].linkage_name);
		put_text(out, frames[i].file);
	}
}

bool cprof_dwfl_reply_read(const uint8_t *bytes, size_t len, struct cprof_dwarf_frame *frames,
			   size_t cap, size_t *ret_n)
{
	struct cprof_cursor cursor = { bytes, bytes + len, false };
	size_t n = 0;
	for (; cursor.at != cursor.end; n++) {
		if (n == cap)
			return false;
		struct cprof_dwarf_frame *frame = &frames[n];
		frame->line = cprof_cursor_u32(&cursor);
		frame->column = cprof_cursor_u32(&cursor);
		frame->start_line = cprof_cursor_u32(&cursor);
		frame->name = cprof_cursor_string(&cursor);
		frame->linkage_name = cprof_cursor_string(&cursor);
		frame->file = cprof_cursor_string(&cursor);
	}
	*ret_n = n;
	return !cursor.failed;
}
