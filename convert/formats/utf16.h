/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/formats/utf16.h - text in UTF-16 to UTF-8: what the shell and the editors of Windows write.
 *
 * Source of truth: RFC 2781 and RFC 3629. What is no character becomes U+FFFD.
 */
#ifndef CPROF_CONVERT_FORMATS_UTF16_H
#define CPROF_CONVERT_FORMATS_UTF16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * Whether these bytes are text in UTF-16: they begin with its byte order mark, or every other byte of the first ones is zero,
 * as in no other text.
 */
bool cprof_utf16_is(const uint8_t *bytes, size_t n);

/* The text without the mark, appended to `out`, with a zero byte behind it that is not counted. Errors: no memory. */
struct cprof_error *cprof_utf16_to_utf8(const uint8_t *bytes, size_t n, struct cprof_buffer *out);

#endif
