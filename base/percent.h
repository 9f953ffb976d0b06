/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/percent.h - bytes that a URL or a header writes as "%41". Source of truth: RFC 3986 section 2.1.
 */
#ifndef CPROF_BASE_PERCENT_H
#define CPROF_BASE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"

#define CPROF_PERCENT_BYTES 3 /* of text that stand for one */

/* The byte that the `n` bytes at `text` begin with in this way; false: they do not. */
bool cprof_percent_byte(const char *text, size_t n, char *ret_byte);

/* Append `text`: all but letters, digits and -._~ as %XX ("Unreserved Characters"). */
void cprof_percent_encode(const char *text, struct cprof_buffer *out);

/* Append what the `n` bytes at `text` stand for; a '%' that begins nothing stands for itself. */
void cprof_percent_decode(const char *text, size_t n, struct cprof_buffer *out);

#endif
