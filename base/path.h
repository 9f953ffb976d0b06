/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/path.h - file names as reports treat them: as text, without asking the file system.
 */
#ifndef CPROF_BASE_PATH_H
#define CPROF_BASE_PATH_H

#include "cprof/buffer.h"

/* The part behind the last slash, "." for ""; a path that ends in a slash is given back whole. Borrowed from `path`. */
const char *cprof_path_base(const char *path);

/* Append the shortest equal path: no "//", "." or inner ".."; "." for "". */
void cprof_path_clean(const char *path, struct cprof_buffer *out);

/*
 * `path` without a prefix that says where it was built: a prefix from the ':'-separated `trim`, or /proc/self/cwd, or,
 * with no `trim`, all up to a directory named like the last part of an entry of `search`. Borrowed.
 */
const char *cprof_path_trim(const char *path, const char *trim, const char *search);

#endif
