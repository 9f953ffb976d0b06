/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/uprobe/heap_uprobe_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "cprof/buffer.h"
#include "cprof/module.h"

/* ---- opening ---- */

struct cprof_error *cprof_heap_uprobe_file_open(const struct cprof_maps *maps,
						const struct cprof_map *map,
						struct cprof_heap_uprobe_file **ret_file)
{
	CPROF_AUTO(close) int fd = cprof_modules_open_map(maps, map);
	if (fd < 0)
		return cprof_error_os(errno, "open %s", map->path);
	struct cprof_heap_uprobe_file *file = calloc(1, sizeof(*file));
	if (!file)
		return cprof_error_no_memory();
	file->map = map;
	file->fd = cprof_take_fd(&fd);
	*ret_file = file;
	return NULL;
}

void cprof_heap_uprobe_file_close(struct cprof_heap_uprobe_file *file)
{
	if (!file)
		return;
	close(file->fd);
	free(file);
}

const char *cprof_heap_uprobe_file_path(const struct cprof_heap_uprobe_file *file, char *path,
					size_t n)
{
	snprintf(path, n, "/proc/self/fd/%d", file->fd);
	return path;
}

/* ---- code ---- */

static bool read_code(void *ctx, uint64_t addr, void *buf, size_t n)
{
	const struct cprof_heap_uprobe_file *file = ctx;
	const struct cprof_map *map = file->map;
	if (addr < map->start || addr >= map->end || n > map->end - addr)
		return false;
	off_t at = (off_t)(map->offset + (addr - map->start));
	return pread(file->fd, buf, n, at) == (ssize_t)n;
}

struct cprof_memory cprof_heap_uprobe_file_code(struct cprof_heap_uprobe_file *file)
{
	return (struct cprof_memory){ read_code, file };
}

/* The words behind `key` in /proc/.../status; "" if it is not there. */
static void status_line(const char *path, const char *key, char *line, size_t n)
{
	CPROF_AUTO(buffer) struct cprof_buffer text = { 0 };
	struct cprof_error *err = cprof_file_read(path, 1 << 16, &text);
	cprof_error_free(err);
	const char *at = strstr(cprof_buffer_text(&text), key);
	snprintf(line, n, "%.*s", at ? (int)strcspn(at + strlen(key), "\n") : 0,
		 at ? at + strlen(key) : "");
}

bool cprof_heap_uprobe_file_traced(const struct cprof_maps *maps)
{
	char path[64], tracer[32];
	snprintf(path, sizeof(path), "/proc/%d/status", (int)maps->pid);
	status_line(path, "\nTracerPid:\t", tracer, sizeof(tracer));
	return strcmp(tracer, "0") != 0;
}

const char *cprof_heap_uprobe_file_changed(struct cprof_heap_uprobe_file *file,
					   const struct cprof_maps *maps, uint64_t addr)
{
	uint8_t now, original;
	if (!read_code(file, addr, &original, 1) ||
	    !maps->memory.read(maps->memory.ctx, addr, &now, 1))
		return "its code cannot be read";
	if (now == original)
		return NULL;
	if (now == 0xcc)
		return cprof_heap_uprobe_file_traced(maps) ? "a debugger's breakpoint is in it"
							   : NULL;
	return "its code in memory is not that of its file";
}
