/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cache_dir.h"
#include "base/cleanup.h"
#include "base/new_file.h"
#include "base/place.h"

#define ROOTS_BASE "/var/lib/cprof"
#define TEMP_NAME  ".cprof-" /* of files that are being written: new_file.c */
#define TEMP_AGE_S 86400

/* ---- which ---- */

static bool is_dir(const char *path)
{
	struct stat st;
	return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* HOME/IN/LEAF, where HOME exists and the place can be ours. */
static char *in_home(const char *home, const char *in, const char *leaf)
{
	char *dir;
	if (!home || home[0] != '/' || !is_dir(home) ||
	    asprintf(&dir, "%s%s/%s", home, in, leaf) < 0)
		return NULL;
	if (cprof_cache_dir_may_be_ours(dir))
		return dir;
	free(dir);
	return NULL;
}

/* It may name several, with colons between them. */
static char *in_service(const char *leaf)
{
	const char *dirs = secure_getenv("STATE_DIRECTORY");
	CPROF_AUTO(free) char *first = dirs ? strndup(dirs, strcspn(dirs, ":")) : NULL;
	return first && *first ? in_home(first, "", leaf) : NULL;
}

char *cprof_state_dir_default(const char *leaf)
{
	const char *state = secure_getenv("XDG_STATE_HOME");
	char *dir = in_service(leaf);
	if (!dir && state && *state)
		dir = in_home(state, "/cprof", leaf);
	if (!dir && geteuid() == 0)
		dir = in_home("/var/lib", &ROOTS_BASE[strlen("/var/lib")], leaf);
	if (!dir && geteuid() != 0)
		dir = in_home(secure_getenv("HOME"), "/.local/state/cprof", leaf);
	return dir;
}

/* ---- open ---- */

struct cprof_error *cprof_state_dir_open(const char *path, struct cprof_state_dir *ret_dir)
{
	struct cprof_state_dir dir = { .fd = -1 };
	struct cprof_error *err = cprof_place_open_own_dir(path, true, &dir.fd);
	if (err)
		return err;
	dir.path =
		canonicalize_file_name(path); /* it is told to people who are elsewhere by then */
	if (!dir.path)
		dir.path = strdup(path);
	if (!dir.path) {
		cprof_state_dir_deinit(&dir);
		return cprof_error_no_memory();
	}
	*ret_dir = dir;
	return NULL;
}

void cprof_state_dir_deinit(struct cprof_state_dir *dir)
{
	if (dir->path || dir->fd > 0)
		cprof_auto_close(&dir->fd);
	free(dir->path);
	*dir = (struct cprof_state_dir){ .fd = -1 };
}

/* ---- files ---- */

/* That a name is there, or is no longer, is on the disk once the directory is. Some file systems have no such thing. */
static bool sync_names(const struct cprof_state_dir *dir)
{
	CPROF_AUTO(close)
	int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
}

static struct cprof_error *cannot(const struct cprof_state_dir *dir, int why)
{
	return cprof_error_os(why, "cannot write into %s", dir->path);
}

/* The name comes last: whoever sees it sees all the bytes, even after the power has failed. */
static struct cprof_error *write_through(const struct cprof_state_dir *dir,
					 struct cprof_new_file *file, const void *bytes, size_t n,
					 int *ret_fd)
{
	struct cprof_error *err = cprof_new_file_create(file, NULL);
	if (!err)
		err = cprof_new_file_put(file, bytes, n, NULL);
	if (err)
		return err;
	if (fsync(file->fd) != 0)
		return cannot(dir, errno);
	CPROF_AUTO(close) int fd = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) != 0)
		return cannot(dir, errno);
	err = cprof_new_file_finish(file, NULL);
	if (!err && !sync_names(dir))
		err = cannot(dir, errno);
	if (!err)
		*ret_fd = cprof_take_fd(&fd);
	return err;
}

struct cprof_error *cprof_state_dir_put(const struct cprof_state_dir *dir, const char *name,
					const void *bytes, size_t n, int *ret_fd)
{
	struct cprof_new_file file = { 0 };
	struct cprof_error *err =
		cprof_new_file_plan_in(dir->fd, name, CPROF_NEW_FILE_REFUSE, &file);
	if (!err)
		err = write_through(dir, &file, bytes, n, ret_fd);
	cprof_new_file_deinit(&file);
	if (!err || !err->os_errno)
		return err;
	int why = err->os_errno;
	cprof_error_free(err);
	return cannot(dir, why);
}

static bool is_ours_alone(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink <= 1 &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

static int claim(int fd)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || !is_ours_alone(&st)) {
		errno = EPERM;
		return -1;
	}
	/* NFS, and the disk that is read only, lock for reading what is open for reading only. */
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		return -1;
	/* Whoever had the lock before may have removed it since we opened it. */
	if (fstat(fd, &st) == 0 && st.st_nlink == 1)
		return 0;
	errno = ENOENT;
	return -1;
}

int cprof_state_dir_claim(const struct cprof_state_dir *dir, const char *name)
{
	const int flags = O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	int fd = openat(dir->fd, name, O_RDWR | flags);
	if (fd < 0 && (errno == EROFS || errno == EACCES))
		fd = openat(dir->fd, name, O_RDONLY | flags);
	if (fd >= 0 && claim(fd) != 0) {
		int why = errno;
		close(fd);
		errno = why;
		return -1;
	}
	return fd;
}

bool cprof_state_dir_remove(const struct cprof_state_dir *dir, const char *name)
{
	return (unlinkat(dir->fd, name, 0) == 0 || errno == ENOENT) && sync_names(dir);
}

/* ---- all of them ---- */

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), len = strlen(suffix);
	return n > len && strcmp(name + n - len, suffix) == 0;
}

static bool is_left_behind(const char *name, const struct stat *st)
{
	return strncmp(name, TEMP_NAME, strlen(TEMP_NAME)) == 0 && ends_in(name, ".tmp") &&
	       st->st_mtim.tv_sec + TEMP_AGE_S < time(NULL);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct cprof_state_file *)a)->name,
		      ((const struct cprof_state_file *)b)->name);
}

static struct cprof_error *add(struct cprof_state_files *files, const char *name, uint64_t size)
{
	if (!CPROF_ARRAY_ROOM(files->items, files->len, files->cap, 1))
		return cprof_error_no_memory();
	struct cprof_state_file *file = &files->items[files->len++];
	snprintf(file->name, sizeof(file->name), "%s", name);
	file->size = size;
	return NULL;
}

struct cprof_error *cprof_state_dir_list(const struct cprof_state_dir *dir, const char *suffix,
					 struct cprof_state_files *files)
{
	CPROF_AUTO(close) int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CPROF_AUTO(closedir) DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	struct cprof_error *err = NULL;
	if (!listing)
		return cprof_error_os(errno, "cannot list %s", dir->path);
	cprof_take_fd(&fd);
	for (struct dirent *entry; !err && (entry = readdir(listing));) {
		struct stat st;
		const char *name = entry->d_name;
		if (strlen(name) >= sizeof(files->items->name) ||
		    fstatat(dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0 || !is_ours_alone(&st))
			continue;
		if (is_left_behind(name, &st))
			unlinkat(dir->fd, name, 0);
		else if (ends_in(name, suffix))
			err = add(files, name, (uint64_t)st.st_size);
	}
	if (files->len)
		qsort(files->items, files->len, sizeof(*files->items), by_name);
	return err;
}

void cprof_state_files_deinit(struct cprof_state_files *files)
{
	free(files->items);
	*files = (struct cprof_state_files){ 0 };
}
