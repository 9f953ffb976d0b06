#include "convert/output/source_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
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

/* `path` below `dir` or one of its parents. */
static FILE *open_below(const char *dir, size_t n, const char *path)
{
	for (;;) {
		CPROF_AUTO(buffer) struct cprof_buffer name = { 0 };
		cprof_buffer_append(&name, dir, n);
		cprof_buffer_printf(&name, "/%s", path);
		FILE *file = name.failed ? NULL : fopen(cprof_buffer_text(&name), "re");
		if (file || n == 0)
			return file;
		while (n > 0 && dir[n - 1] != '/')
			n--;
		n -= n > 0;
	}
}

static FILE *open_file(const struct cprof_source_files *files, struct file *file)
{
	const char *path = cprof_path_trim(file->path, files->trim, files->search);
	FILE *opened = NULL;
	if (*path == '/') {
		opened = fopen(path, "re");
		char why[128];
		snprintf(why, sizeof(why), "%s", strerror(errno));
		why[0] = (char)tolower((unsigned char)why[0]); /* it stands within a sentence */
		if (!opened && asprintf(&file->failure, "open %s: %s", path, why) < 0)
			file->failure = NULL;
		return opened;
	}
	for (const char *dir = files->search; !opened && *dir;) {
		size_t n = strcspn(dir, ":");
		opened = open_below(dir, n, path);
		dir += n + (dir[n] == ':');
	}
	if (!opened &&
	    asprintf(&file->failure, "could not find file %s on path %s", path, files->search) < 0)
		file->failure = NULL;
	return opened;
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
	FILE *opened = open_file(files, file);
	if (!opened)
		return;
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
