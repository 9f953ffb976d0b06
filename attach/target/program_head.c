/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/target/program_head.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "cprof/maps.h"

/* Where its first page is mapped; 0: nowhere. */
static uint64_t mapped_at(const struct cprof_maps *maps, const char *path)
{
	for (size_t i = 0; i < maps->n_sorted; i++) {
		const struct cprof_map *map = maps->sorted[i];
		if (map->offset == 0 && strcmp(map->path, path) == 0)
			return map->start;
	}
	return 0;
}

/* The link can be read by whoever may look into the process, whatever the file's own rights are. */
static int read_memory(pid_t tid, const char *exe, int why, void *head, size_t n)
{
	char path[PATH_MAX];
	struct cprof_maps maps;
	ssize_t len = readlink(exe, path, sizeof(path) - 1);
	if (len < 0)
		return why;
	path[len] = 0;
	cprof_maps_init(&maps, tid, (struct cprof_memory){ 0 });
	struct cprof_error *err = cprof_maps_refresh(&maps);
	uint64_t addr = err ? 0 : mapped_at(&maps, path);
	cprof_error_free(err);
	cprof_maps_deinit(&maps);
	struct iovec here = { head, n }, there = { (void *)(uintptr_t)addr, n };
	return addr && process_vm_readv(tid, &here, 1, &there, 1, 0) == (ssize_t)n ? 0 : why;
}

int cprof_program_head_read(pid_t tid, void *head, size_t n)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)tid);
	CPROF_AUTO(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT)
		return ESRCH;
	if (fd < 0)
		return read_memory(tid, path, errno, head, n);
	ssize_t got = read(fd, head, n);
	if (got < 0)
		return read_memory(tid, path, errno, head, n);
	return (size_t)got == n ? 0 : ENOEXEC;
}
