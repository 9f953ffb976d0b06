/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

#define FIRST_BYTES 64

void cprof_buffer_deinit(struct cprof_buffer *buf)
{
	free(buf->data);
	*buf = (struct cprof_buffer){ 0 };
}

uint8_t *cprof_buffer_reserve(struct cprof_buffer *buf, size_t n)
{
	if (buf->failed)
		return NULL;
	if (buf->cap - buf->len > n) /* one byte stays free for the terminating zero */
		return buf->data + buf->len;

	/* A short text is one allocation. */
	size_t room = n < FIRST_BYTES && !buf->cap ? FIRST_BYTES : n + 1;
	if (!room || !CPROF_ARRAY_ROOM(buf->data, buf->len, buf->cap, room)) {
		buf->failed = true;
		return NULL;
	}
	return buf->data + buf->len;
}

void cprof_buffer_append(struct cprof_buffer *buf, const void *bytes, size_t n)
{
	uint8_t *room = cprof_buffer_reserve(buf, n);
	if (!room)
		return;
	if (n)
		memcpy(room, bytes, n);
	buf->len += n;
	buf->data[buf->len] = 0;
}

void cprof_buffer_puts(struct cprof_buffer *buf, const char *text)
{
	cprof_buffer_append(buf, text, strlen(text));
}

void cprof_buffer_putc(struct cprof_buffer *buf, char c)
{
	cprof_buffer_append(buf, &c, 1);
}

void cprof_buffer_vprintf(struct cprof_buffer *buf, const char *fmt, va_list ap)
{
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(NULL, 0, fmt, again);
	va_end(again);
	uint8_t *room = n < 0 ? NULL : cprof_buffer_reserve(buf, (size_t)n);
	if (!room) {
		buf->failed = true;
		return;
	}
	vsnprintf((char *)room, (size_t)n + 1, fmt, ap);
	buf->len += (size_t)n;
}

void cprof_buffer_printf(struct cprof_buffer *buf, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	cprof_buffer_vprintf(buf, fmt, ap);
	va_end(ap);
}

const char *cprof_buffer_text(const struct cprof_buffer *buf)
{
	return buf->data ? (const char *)buf->data : "";
}

struct cprof_error *cprof_buffer_error(const struct cprof_buffer *buf)
{
	return buf->failed ? cprof_error_no_memory() : NULL;
}
