/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/output/source_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/foreign_file.h"
#include "base/path.h"

#define MAX_BYTES (64u << 20) /* no source file is larger; a device or a core dump may be */

struct file {
	char *path;
	char *failure; /* NULL: it was read */
	char *text;    /* its lines, each ended by a zero byte */
	const char **lines;
	size_t n_lines;
};

struct cprof_source_files {
	char *search, *trim;
	struct file *at;
	size_t n, cap;
};

struct cprof_error *cprof_source_files_new(const char *search, const char *trim,
					   struct cprof_source_files **ret_files)
{
	struct cprof_source_files *files = calloc(1, sizeof(*files));
	if (files) {
		files->search = *search ? strdup(search) : getcwd(NULL, 0);
		files->trim = strdup(trim);
	}
	if (!files || !files->search || !files->trim) {
		cprof_source_files_free(files);
		return cprof_error_no_memory();
	}
	*ret_files = files;
	return NULL;
}

void cprof_source_files_free(struct cprof_source_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->n; i++) {
		free(files->at[i].path);
		free(files->at[i].failure);
		free(files->at[i].text);
		free(files->at[i].lines);
	}
	free(files->at);
	free(files->search);
	free(files->trim);
	free(files);
}

/* ---- which files may be read ---- */

/* Whether `location`, as the kernel names it, lies in `dir` or below, wherever links lead that are in that. */
static bool is_below(const char *location, const char *dir, size_t n)
{
	CPROF_AUTO(free) char *name = strndup(n ? dir : ".", n ? n : 1);
	CPROF_AUTO(free) char *real = name ? realpath(name, NULL) : NULL;
	size_t len = real ? strlen(real) : 0;
	if (len == 1) /* the root: everything */
		return true;
	return len && strncmp(location, real, len) == 0 && location[len] == '/';
}

/*
 * A profile from elsewhere may name any file of ours as its source, and what it names stands in the report, which is then
 * sent back. So where the open file really lies decides: below a directory that the user has given.
 */
static bool is_allowed(const struct cprof_source_files *files, int fd)
{
	char link[40], location[PATH_MAX];
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	ssize_t n = readlink(link, location, sizeof(location) - 1);
	if (n <= 0)
		return false;
	location[n] = 0;
	for (const char *dir = files->search; *dir;) {
		size_t len = strcspn(dir, ":");
		if (is_below(location, dir, len))
			return true;
		dir += len + (dir[len] == ':');
	}
	return false;
}

/* Sets errno: EPERM where it is outside, EINVAL where it is no regular file. */
static int open_allowed(const struct cprof_source_files *files, const char *path)
{
	CPROF_AUTO(close) int fd = open(path, O_PATH | O_CLOEXEC);
	if (fd >= 0 && !is_allowed(files, fd)) {
		errno = EPERM;
		return -1;
	}
	return fd < 0 ? -1 : cprof_foreign_file_reopen(fd);
}

/* ---- looking for them ---- */

/* `path` below `dir` or one of its parents. */
static int open_below(const struct cprof_source_files *files, const char *dir, size_t n,
		      const char *path, bool *outside)
{
	for (;;) {
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		cprof_buffer_append(&name, dir, n);
		cprof_buffer_printf(&name, "/%s", path);
		int fd = name.failed ? -1 : open_allowed(files, cprof_buffer_text(&name));
		*outside |= fd < 0 && errno == EPERM;
		if (fd >= 0 || n == 0)
			return fd;
		while (n > 0 && dir[n - 1] != '/')
			n--;
		n -= n > 0;
	}
}

static const char *why_not(int why)
{
	return why == EPERM    ? "not below the source path; -source_path=/ reads files anywhere"
	       : why == EINVAL ? "no regular file"
			       : strerror(why);
}

static int open_absolute(const struct cprof_source_files *files, struct file *file,
			 const char *path)
{
	char why[128];
	int fd = open_allowed(files, path);
	snprintf(why, sizeof(why), "%s", why_not(errno));
	why[0] = (char)tolower((unsigned char)why[0]); /* it stands within a sentence */
	if (fd < 0 && asprintf(&file->failure, "open %s: %s", path, why) < 0)
		file->failure = NULL;
	return fd;
}

static int open_file(const struct cprof_source_files *files, struct file *file)
{
	const char *path = cprof_path_trim(file->path, files->trim, files->search);
	bool outside = false;
	int fd = -1;
	if (*path == '/')
		return open_absolute(files, file, path);
	for (const char *dir = files->search; fd < 0 && *dir;) {
		size_t n = strcspn(dir, ":");
		fd = open_below(files, dir, n, path, &outside);
		dir += n + (dir[n] == ':');
	}
	if (fd < 0 &&
	    asprintf(&file->failure, "could not find file %s on path %s%s", path, files->search,
		     outside ? "; there is one outside of it, -source_path=/ reads files anywhere"
			     : "") < 0)
		file->failure = NULL;
	return fd;
}

static void split(struct file *file, size_t n)
{
	size_t lines = 1;
	for (size_t i = 0; i < n; i++)
		lines += file->text[i] == '\n';
	file->lines = calloc(lines + 1, sizeof(*file->lines));
	char *at = file->text, *end = file->text + n;
	while (file->lines && at < end) {
		char *stop = memchr(at, '\n', (size_t)(end - at));
		file->lines[file->n_lines++] = at;
		if (!stop)
			break;
		*stop = 0;
		if (stop > at && stop[-1] == '\r')
			stop[-1] = 0;
		at = stop + 1;
	}
}

static void read_file(const struct cprof_source_files *files, struct file *file)
{
	CPROF_AUTO(close) int fd = open_file(files, file);
	FILE *opened = fd < 0 ? NULL : fdopen(fd, "re");
	if (!opened)
		return;
	cprof_take_fd(&fd);
	struct cprof_buffer text = { 0 };
	for (size_t got = 1; got > 0 && text.len < MAX_BYTES;) {
		uint8_t *room = cprof_buffer_reserve(&text, 65536);
		got = room ? fread(room, 1, 65536, opened) : 0;
		text.len += got;
	}
	if (ferror(opened) &&
	    asprintf(&file->failure, "read %s: %s", file->path, strerror(EIO)) < 0)
		file->failure = NULL;
	fclose(opened);
	if (!text.data)
		return;
	text.data[text.len] = 0;
	file->text = (char *)text.data;
	split(file, text.len);
}

static struct file *find(struct cprof_source_files *files, const char *path)
{
	for (size_t i = 0; i < files->n; i++) {
		if (strcmp(files->at[i].path, path) == 0)
			return &files->at[i];
	}
	if (!CPROF_ARRAY_ROOM(files->at, files->n, files->cap, 1))
		return NULL;
	struct file *file = &files->at[files->n];
	*file = (struct file){ .path = strdup(path) };
	if (!file->path)
		return NULL;
	files->n++;
	read_file(files, file);
	return file;
}

const char *cprof_source_files_line(struct cprof_source_files *files, const char *path,
				    int64_t line)
{
	struct file *file = find(files, path);
	if (!file || !file->lines || line < 1 || (uint64_t)line > file->n_lines)
		return NULL;
	return file->lines[line - 1];
}

const char *cprof_source_files_failure(struct cprof_source_files *files, const char *path)
{
	struct file *file = find(files, path);
	return file ? file->failure : "out of memory";
}
