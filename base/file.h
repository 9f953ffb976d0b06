/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/file.h - whole files into memory.
 */
#ifndef CPROF_BASE_FILE_H
#define CPROF_BASE_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * Append the content of `path` to `out`; works on /proc files, whose size is not known beforehand. ENOENT
 * under /proc/PID means that the process is gone: CPROF_ERR_NO_TARGET. More than `limit` bytes: BAD_DATA.
 */
struct cprof_error *cprof_file_read(const char *path, size_t limit, struct cprof_buffer *out);

/* The same from an open descriptor, from its position to the end. `name` is for messages. */
struct cprof_error *cprof_file_read_fd(int fd, const char *name, size_t limit,
				       struct cprof_buffer *out);

#endif
