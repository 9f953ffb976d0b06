/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/percent.h - a byte that a URL or a header writes as "%41". Source of truth: RFC 3986 section 2.1.
 */
#ifndef CPROF_BASE_PERCENT_H
#define CPROF_BASE_PERCENT_H

#include <stdbool.h>
#include <stddef.h>

#define CPROF_PERCENT_BYTES 3 /* of text that stand for one */

/* The byte that the `n` bytes at `text` begin with in this way; false: they do not. */
bool cprof_percent_byte(const char *text, size_t n, char *ret_byte);

#endif
