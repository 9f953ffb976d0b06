/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof/buffer.h - a growing run of bytes: text being composed, a file being read.
 *
 * A failed allocation is remembered in `failed` and every later append does nothing, so a writer
 * checks once, at the end, with cprof_buffer_error().
 */
#ifndef CPROF_BUFFER_H
#define CPROF_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cprof_buffer {
	uint8_t *
		data; /* owned; a zero byte always stands at data[len] once anything was appended */
	size_t len;
	size_t cap;
	bool failed;
};

/* A zeroed struct is an empty buffer; deinit gives its memory back and leaves it empty again. */
void cprof_buffer_deinit(struct cprof_buffer *buf);
static inline void cprof_auto_buffer(struct cprof_buffer *buf)
{
	cprof_buffer_deinit(buf);
}

void cprof_buffer_append(struct cprof_buffer *buf, const void *bytes, size_t n);
void cprof_buffer_puts(struct cprof_buffer *buf, const char *text);
void cprof_buffer_putc(struct cprof_buffer *buf, char c);
void cprof_buffer_printf(struct cprof_buffer *buf, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void cprof_buffer_vprintf(struct cprof_buffer *buf, const char *fmt, va_list ap)
	__attribute__((format(printf, 2, 0)));

/* Room for `n` more bytes at data + len, to be filled by the caller who then adds to len. NULL: no memory. */
uint8_t *cprof_buffer_reserve(struct cprof_buffer *buf, size_t n);

/* The text so far, never NULL ("" when empty); borrowed, valid until the next append. */
const char *cprof_buffer_text(const struct cprof_buffer *buf);

/* NULL, or the out-of-memory error if any append failed. */
struct cprof_error *cprof_buffer_error(const struct cprof_buffer *buf);

#ifdef __cplusplus
}
#endif

#endif
