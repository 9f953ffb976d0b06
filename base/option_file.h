/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/option_file.h - options in a file: a line each, NAME = VALUE.
 *
 *     # which server, and what for
 *     push  = https://profiles.example.com
 *     label = env=prod
 *     label = "zone = a"
 *     lazy                         # a switch: the same as lazy = true
 *
 * Names are those of the command line without their dash. What follows a # at the beginning of a line or behind a blank is a
 * comment. A value in double quotes keeps its blanks and its #; in it \" and \\ are a quote and a backslash. A name that is
 * there several times is a list, or else the last one counts.
 */
#ifndef CPROF_BASE_OPTION_FILE_H
#define CPROF_BASE_OPTION_FILE_H

#include <stddef.h>

#include "base/options.h"
#include "cprof/error.h"

#define CPROF_OPTION_FILE_MAX (256u << 10) /* bytes */

/* Values with texts of their own, for cprof_option_layers.below. */
struct cprof_option_values {
	struct cprof_option_value *items; /* owned, and their texts */
	size_t len, cap;
};
void cprof_option_values_deinit(struct cprof_option_values *values);
static inline void cprof_auto_option_values(struct cprof_option_values *values)
{
	cprof_option_values_deinit(values);
}

/* Append one; all texts are copied. Errors: NO_MEMORY. */
struct cprof_error *cprof_option_values_add(struct cprof_option_values *values, const char *name,
					    const char *text, const char *origin, unsigned layer);

/*
 * Append what the `n` bytes of `text` say, with the origin "SHOWN:LINE". Whether there are options of these names is seen when they
 * are parsed. Errors: USAGE with the line, and nothing of a line that is not understood: it may be of a file that others may not
 * read.
 */
struct cprof_error *cprof_option_file_parse(const char *text, size_t n, const char *shown,
					    struct cprof_option_values *values);

/* The same of the file `path`, which the user named. Errors: also OS, and BAD_DATA for one that is too long. */
struct cprof_error *cprof_option_file_read(const char *path, struct cprof_option_values *values);

#endif
