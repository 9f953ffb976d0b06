/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/report/regex.h - regular expressions in RE2's syntax, as pprof's users write them, through PCRE2.
 *
 * What RE2 has not (backreferences, lookaround, possessive and atomic groups, recursion, verbs) is
 * refused with the words that Go uses; what both have but mean differently ('$', '\v', '\s') is translated. A
 * match is bounded in steps and all matches together in time, so that no pattern can hang a report.
 */
#ifndef CPROF_CONVERT_REPORT_REGEX_H
#define CPROF_CONVERT_REPORT_REGEX_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/error.h"

struct cprof_regex;

/* Errors: CPROF_ERR_USAGE, "error parsing regexp: missing closing ): `(a`". */
struct cprof_error *cprof_regex_new(const char *pattern, struct cprof_regex **ret_regex);
void cprof_regex_free(struct cprof_regex *regex);
static inline void cprof_auto_regex(struct cprof_regex **regex)
{
	cprof_regex_free(*regex);
}

/* Anywhere in `text`. A match that ran out of steps is false, and so are all that come after it. NULL matches nothing. */
bool cprof_regex_match(struct cprof_regex *regex, const char *text);
bool cprof_regex_match_bytes(struct cprof_regex *regex, const char *text, size_t n);

/* Where group `group` of the last successful match begins and ends; false where it took no part. */
bool cprof_regex_group(const struct cprof_regex *regex, unsigned group, size_t *ret_start,
		       size_t *ret_end);

/* NULL, or the error that some match had to be given up. To be asked once, after a run of matches. */
struct cprof_error *cprof_regex_error(const struct cprof_regex *regex);

const char *cprof_regex_pattern(const struct cprof_regex *regex);

#endif
