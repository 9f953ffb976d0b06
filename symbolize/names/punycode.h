/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/names/punycode.h - identifiers that are not ASCII, out of the ASCII that compilers write them as.
 *
 * Source of truth: RFC 3492, with the parameters of its section 5.
 */
#ifndef CPROF_SYMBOLIZE_NAMES_PUNYCODE_H
#define CPROF_SYMBOLIZE_NAMES_PUNYCODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What UTF-8 may hold: up to 0x10ffff, and no half of a pair. */
bool cprof_punycode_is_code_point(uint32_t c);

/*
 * The `n_plain` ASCII characters at `plain` with those put between them that `text` says. `points` has room for `cap` code
 * points and gets *ret_n of them. False: no punycode, or more than there is room for.
 */
bool cprof_punycode_decode(const char *plain, size_t n_plain, const char *text, size_t n_text,
			   uint32_t *points, size_t cap, size_t *ret_n);

#endif
