/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/source_file.h - lines of source files, found on a search path and kept while a report is written.
 *
 * Owns which files count as sources: regular ones that lie below a directory of the search path (without one: below the
 * present directory), wherever links lead. The profile says which are asked for, and it may come from anywhere.
 */
#ifndef CPROF_CONVERT_OUTPUT_SOURCE_FILE_H
#define CPROF_CONVERT_OUTPUT_SOURCE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

struct cprof_source_files;

/*
 * `search` is a ':'-separated list of directories; "" is the present one. A relative file is looked for below each of them
 * and of their parents, but counts only below them; "/" allows everything. `trim` as in cprof_path_trim().
 */
struct cprof_error *cprof_source_files_new(const char *search, const char *trim,
					   struct cprof_source_files **ret_files);
void cprof_source_files_free(struct cprof_source_files *files);
static inline void cprof_auto_source_files(struct cprof_source_files **files)
{
	cprof_source_files_free(*files);
}

/* Line `line` from 1 of `path`, without its end; NULL where there is no such line or file. Borrowed. */
const char *cprof_source_files_line(struct cprof_source_files *files, const char *path,
				    int64_t line);

/* Why `path` could not be read, or NULL. Borrowed. */
const char *cprof_source_files_failure(struct cprof_source_files *files, const char *path);

#endif
