/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/base64.h - bytes as base64 and back. Source of truth: RFC 4648 "Base 64 Encoding".
 */
#ifndef CPROF_BASE_BASE64_H
#define CPROF_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"

/* Append the `n` bytes as text, with padding. */
void cprof_base64_encode(const void *bytes, size_t n, struct cprof_buffer *out);

/*
 * Append what the `n` characters of `text` stand for; the alphabet for URLs and a missing padding are taken as well. False for
 * anything else, and then what was right before it has been appended.
 */
bool cprof_base64_decode(const char *text, size_t n, struct cprof_buffer *out);

#endif
