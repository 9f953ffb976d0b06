/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/json_put.h - texts as JSON strings, for files, requests and pages alike.
 *
 * Source: RFC 8259 "Strings". Bytes that are not UTF-8 become U+FFFD; '<' is escaped too, so that a string may stand within an HTML script.
 */
#ifndef CPROF_BASE_JSON_PUT_H
#define CPROF_BASE_JSON_PUT_H

#include <stddef.h>

#include "cprof/buffer.h"

#define CPROF_JSON_ESCAPE_MAX 8

/* How the character at `at` is written, of `n` > 0 bytes: *ret_n bytes (CPROF_JSON_ESCAPE_MAX at most) in `out`; how many it had. */
size_t cprof_json_escape(const char *at, size_t n, char *out, size_t *ret_n);

/* With the quotes. */
void cprof_json_put(struct cprof_buffer *out, const char *text);

#endif
