/* SPDX-License-Identifier: Apache-2.0 */
#include "base/foreign_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define LINKS_MAX 40   /* as the kernel: path_resolution(7) */
#define DEPTH_MAX 256  /* directories that one is in */
#define TRIES     1000 /* RESOLVE_IN_ROOT says EAGAIN while somebody renames: openat2(2) */

#ifndef MQUEUE_MAGIC
#define MQUEUE_MAGIC 0x19800202
#endif
#ifndef CONFIGFS_MAGIC
#define CONFIGFS_MAGIC 0x62656570
#endif

/* ---- what may be opened ---- */

/* Their files are questions to the kernel, and orders: reading trace_pipe takes away what it tells. */
static bool is_store(int fd)
{
	static const long not [] = {
		PROC_SUPER_MAGIC, SYSFS_MAGIC,        DEBUGFS_MAGIC,      TRACEFS_MAGIC,
		SECURITYFS_MAGIC, SELINUX_MAGIC,      CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC,
		BPF_FS_MAGIC,     EFIVARFS_MAGIC,     PSTOREFS_MAGIC,     BINFMTFS_MAGIC,
		NSFS_MAGIC,       DEVPTS_SUPER_MAGIC, MQUEUE_MAGIC,       CONFIGFS_MAGIC,
	};
	struct statfs fs;
	if (fstatfs(fd, &fs) != 0)
		return false;
	for (size_t i = 0; i < sizeof(not ) / sizeof(not [0]); i++) {
		if (fs.f_type == not [i])
			return false;
	}
	return true;
}

int cprof_foreign_file_reopen(int fd)
{
	char path[40];
	struct stat st;
	if (fstat(fd, &st) != 0)
		return -1;
	if (!S_ISREG(st.st_mode) || !is_store(fd)) {
		errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
		return -1;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

int cprof_foreign_file_open(const char *path)
{
	CPROF_AUTO(close) int fd = open(path, O_PATH | O_CLOEXEC);
	return fd < 0 ? -1 : cprof_foreign_file_reopen(fd);
}

bool cprof_foreign_file_is_of(int fd, uid_t uid, gid_t gid)
{
	struct stat st;
	if (fstat(fd, &st) != 0 || (st.st_uid != 0 && st.st_uid != uid))
		return false;
	if ((st.st_mode & S_IWOTH) || ((st.st_mode & S_IWGRP) && st.st_gid != gid))
		return false;
	bool readable = st.st_uid == uid || (st.st_mode & S_IROTH) ||
			((st.st_mode & S_IRGRP) && st.st_gid == gid);
	return st.st_nlink <= 1 && readable;
}

/* ---- below a root, without openat2 ---- */

struct walk {
	int dirs[DEPTH_MAX]; /* owned; from the root to where we are */
	size_t depth;        /* of them; at least 1 */
	char *rest;          /* owned */
	unsigned links;
};

static void walk_deinit(struct walk *walk)
{
	int saved = errno;
	while (walk->depth > 0)
		close(walk->dirs[--walk->depth]);
	free(walk->rest);
	errno = saved;
}

static void go_up(struct walk *walk, size_t depth)
{
	while (walk->depth > depth)
		close(walk->dirs[--walk->depth]);
}

/* The link's words stand before `behind`. Links of /proc say something else than where they lead: none is followed. */
static bool follow(struct walk *walk, int link, const char *behind)
{
	char target[PATH_MAX], *rest;
	struct statfs fs;
	ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);
	if (n <= 0 || ++walk->links > LINKS_MAX || fstatfs(link, &fs) != 0 ||
	    fs.f_type == PROC_SUPER_MAGIC) {
		errno = ELOOP;
		return false;
	}
	target[n] = 0;
	if (asprintf(&rest, "%s%s", target, behind) < 0)
		return false;
	if (*target == '/')
		go_up(walk, 1);
	free(walk->rest);
	walk->rest = rest;
	return true;
}

/* One name; the descriptor of what it is, where that is the end. -1 and errno 0: there is more to walk. */
static int step(struct walk *walk, const char *name, const char *behind)
{
	struct stat st;
	int here = walk->dirs[walk->depth - 1];
	CPROF_AUTO(close) int fd = openat(here, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0)
		return -1;
	if (S_ISLNK(st.st_mode)) {
		errno = follow(walk, fd, behind) ? 0 : errno;
		return -1;
	}
	if (!*behind)
		return cprof_take_fd(&fd);
	if (!S_ISDIR(st.st_mode) || walk->depth == DEPTH_MAX) {
		errno = ENOTDIR;
		return -1;
	}
	walk->dirs[walk->depth++] = cprof_take_fd(&fd);
	memmove(walk->rest, behind, strlen(behind) + 1);
	errno = 0;
	return -1;
}

/* The next name off the front of `rest`; false at the end. Names that lead nowhere or up are dealt with here. */
static bool next_name(struct walk *walk, char *name, const char **ret_behind)
{
	for (const char *at = walk->rest;;) {
		at += strspn(at, "/");
		size_t n = strcspn(at, "/");
		if (!n || n > NAME_MAX) {
			errno = n ? ENAMETOOLONG : 0;
			return false;
		}
		memcpy(name, at, n);
		name[n] = 0;
		at += n;
		*ret_behind = at;
		if (strcmp(name, "..") == 0 && walk->depth > 1)
			go_up(walk, walk->depth - 1);
		if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
			return true;
	}
}

int cprof_foreign_file_walk(int root, const char *path)
{
	char name[NAME_MAX + 1];
	const char *behind;
	struct walk walk = { .rest = strdup(path) };
	int fd = fcntl(root, F_DUPFD_CLOEXEC, 0);
	if (fd < 0 || !walk.rest) {
		cprof_auto_close(&fd);
		free(walk.rest);
		return -1;
	}
	walk.dirs[walk.depth++] = fd;
	fd = -1;
	errno = 0;
	while (fd < 0 && !errno && next_name(&walk, name, &behind))
		fd = step(&walk, name, behind);
	if (fd < 0 && !errno) /* the path was of dots and slashes */
		fd = fcntl(walk.dirs[walk.depth - 1], F_DUPFD_CLOEXEC, 0);
	walk_deinit(&walk);
	return fd;
}

/* ---- below a root ---- */

static int open_in_root(int root, const char *path)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	for (int i = 0; i < TRIES; i++) {
		long fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
		if (fd >= 0 || errno != EAGAIN)
			return fd < 0 && (errno == ENOSYS || errno == EPERM)
				       ? cprof_foreign_file_walk(root, path)
				       : (int)fd;
	}
	errno = EAGAIN;
	return -1;
}

static int look_below(const char *root, const char *path)
{
	if (!*root)
		return open(path, O_PATH | O_CLOEXEC);
	CPROF_AUTO(close) int dir = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -1 : open_in_root(dir, path);
}

int cprof_foreign_file_open_below(const char *root, const char *path)
{
	CPROF_AUTO(close) int fd = look_below(root, path);
	return fd < 0 ? -1 : cprof_foreign_file_reopen(fd);
}

int cprof_foreign_file_open_in(const char *root, const char *dir, const char *name)
{
	CPROF_AUTO(close) int found = look_below(root, dir);
	if (found < 0)
		return -1;
	CPROF_AUTO(close) int fd = openat(found, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -1 : cprof_foreign_file_reopen(fd);
}

DIR *cprof_foreign_file_list_below(const char *root, const char *path)
{
	CPROF_AUTO(close) int found = look_below(root, path);
	if (found < 0)
		return NULL;
	CPROF_AUTO(close)
	int fd = openat(found, ".", O_RDONLY | O_DIRECTORY | O_NONBLOCK | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (dir)
		cprof_take_fd(&fd);
	return dir;
}

struct cprof_error *cprof_foreign_file_read_below(const char *root, const char *path, size_t limit,
						  struct cprof_buffer *out)
{
	CPROF_AUTO(close) int fd = cprof_foreign_file_open_below(root, path);
	if (fd < 0)
		return cprof_error_os(errno, "open %s", path);
	return cprof_file_read_fd(fd, path, limit, out);
}
