/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

#define CHUNK (32 * 1024)

struct cprof_error *cprof_file_read_fd(int fd, const char *name, size_t limit,
				       struct cprof_buffer *out)
{
	size_t total = 0;
	for (;;) {
		uint8_t *room = cprof_buffer_reserve(out, CHUNK);
		if (!room)
			return cprof_error_no_memory();
		ssize_t n = read(fd, room, CHUNK);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return cprof_error_os(errno, "read %s", name);
		if (n == 0)
			break;
		total += (size_t)n;
		if (total > limit)
			return cprof_error_new(CPROF_ERR_BAD_DATA, "%s is larger than %zu bytes",
					       name, limit);
		out->len += (size_t)n;
	}
	cprof_buffer_append(out, "", 0); /* so that even an empty file ends with a zero byte */
	return cprof_buffer_error(out);
}

struct cprof_error *cprof_file_read(const char *path, size_t limit, struct cprof_buffer *out)
{
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT && strncmp(path, "/proc/", 6) == 0)
		return cprof_error_os(ESRCH, "open %s", path);
	if (fd < 0)
		return cprof_error_os(errno, "open %s", path);
	return cprof_file_read_fd(fd, path, limit, out);
}
