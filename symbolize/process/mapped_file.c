/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/process/mapped_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/foreign_file.h"
#include "symbolize/process/owner_file.h"

/*
 * Device and inode of an open file in the words of /proc/PID/maps. stat(2) may call them differently (overlay
 * and btrfs have devices of their own for it), so the file is mapped and the kernel asked about our mapping.
 */
static bool ids_in_maps(int fd, uint64_t *ret_dev, uint64_t *ret_inode)
{
	void *page = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);
	if (page == MAP_FAILED)
		return false;
	struct cprof_maps self;
	cprof_maps_init(&self, getpid(), (struct cprof_memory){ 0 });
	struct cprof_error *err = cprof_maps_refresh(&self);
	const struct cprof_map *map = err ? NULL : cprof_maps_find(&self, (uint64_t)page);
	if (map) {
		*ret_dev = map->dev;
		*ret_inode = map->inode;
	}
	cprof_error_free(err);
	cprof_maps_deinit(&self);
	munmap(page, 1);
	return map != NULL;
}

static bool is_file_of(int fd, const struct cprof_map *map)
{
	struct stat st;
	uint64_t dev, inode;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	if (st.st_ino == map->inode &&
	    ((uint64_t)major(st.st_dev) << 32 | minor(st.st_dev)) == map->dev)
		return true;
	return ids_in_maps(fd, &dev, &inode) && dev == map->dev && inode == map->inode;
}

/* The very file that is mapped; needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN. */
static int open_map_file(const struct cprof_maps *maps, const struct cprof_map *map)
{
	char path[96];
	snprintf(path, sizeof(path), "/proc/%d/map_files/%" PRIx64 "-%" PRIx64, (int)maps->pid,
		 map->start, map->end);
	return cprof_foreign_file_open(path);
}

static int open_same(const char *root, const char *path, const struct cprof_map *map)
{
	CPROF_AUTO(close) int fd = cprof_foreign_file_open_below(root, path);
	if (fd < 0 || is_file_of(fd, map))
		return cprof_take_fd(&fd);
	errno = ESTALE;
	return -1;
}

/*
 * By name as the target sees it, and only if it still is the same file. A process that has ended has no root any
 * more; most often it was ours.
 */
static int open_by_path(const struct cprof_maps *maps, const struct cprof_map *map)
{
	char path[64];
	if (map->path[0] != '/') {
		errno = ENOENT;
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/%d/root", (int)maps->pid);
	int fd = open_same(path, map->path, map), why = errno;
	/* The running program has one more name. */
	if (fd < 0 && map->inode == maps->exe_inode && map->dev == maps->exe_dev &&
	    maps->exe_inode) {
		snprintf(path, sizeof(path), "/proc/%d/exe", (int)maps->pid);
		fd = cprof_foreign_file_open(path);
	}
	if (fd < 0 && why == ENOENT)
		fd = open_same("", map->path, map);
	errno = fd < 0 && why == ESTALE ? ESTALE : errno;
	return fd;
}

int cprof_mapped_file_find(const struct cprof_maps *maps, const struct cprof_map *map)
{
	/* By now another file may be mapped there: libraries come and go, and take each other's place. */
	CPROF_AUTO(close) int fd = open_map_file(maps, map);
	return fd >= 0 && is_file_of(fd, map) ? cprof_take_fd(&fd) : open_by_path(maps, map);
}

struct mapped {
	const struct cprof_maps *maps;
	const struct cprof_map *map;
};

/* By the process's user, who may not be let into its root, which most often is ours. */
static int open_as_owner(void *ctx)
{
	const struct mapped *mapped = ctx;
	const int fd = open_by_path(mapped->maps, mapped->map);
	return fd >= 0 ? fd : open_same("", mapped->map->path, mapped->map);
}

/* A file that has no name any more is to be had by its mapping alone, so whether that is refused is what a reader can change. */
static struct cprof_error *not_opened(const struct cprof_maps *maps, const struct cprof_map *map,
				      int why)
{
	CPROF_AUTO(close) int fd = open_map_file(maps, map);
	const bool refused = fd < 0 && (errno == EACCES || errno == EPERM);
	if (refused && (why == ENOENT || why == ESTALE))
		return cprof_error_new(
			CPROF_ERR_DENIED,
			"the mapped file was deleted or replaced, and /proc/%d/map_files, where it "
			"still is, is refused; CAP_DAC_READ_SEARCH and CAP_CHECKPOINT_RESTORE together "
			"open it",
			(int)maps->pid);
	if (why == ESTALE)
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "%s: the file at this path is another one by now",
				       map->path);
	return cprof_error_os(why, "open %s", map->path);
}

struct cprof_error *cprof_mapped_file_open(struct cprof_budget *budget,
					   const struct cprof_maps *maps,
					   const struct cprof_map *map, int *ret_fd,
					   bool *ret_copied)
{
	CPROF_AUTO(close) int fd = cprof_mapped_file_find(maps, map);
	const int why = fd < 0 ? errno : 0;
	const bool refused = why == EACCES || why == EPERM;
	struct cprof_error *err = NULL;
	*ret_copied = false;
	if (refused && maps->owner_known && map->path[0] == '/') {
		err = cprof_owner_file_take(budget, map->path, maps->uid, maps->gid, open_as_owner,
					    &(struct mapped){ maps, map }, &fd);
		*ret_copied = fd >= 0;
	}
	if (err)
		return err;
	if (fd < 0)
		return not_opened(maps, map, why);
	*ret_fd = cprof_take_fd(&fd);
	return NULL;
}
