/* SPDX-License-Identifier: Apache-2.0 */
#include "base/new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/caller.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define NULL_MAJOR     1 /* null(4) */
#define NULL_MINOR     3
#define TEMP_TRIES     100
#define READER_WAIT_NS (5 * CPROF_NS_PER_S) /* for somebody to read a pipe */
#define WAIT_MS        50

/* ---- looking ---- */

static struct cprof_error *cannot(const struct cprof_new_file *file, int why)
{
	return cprof_error_os(why, "cannot write %s", file->path);
}

static const char *fd_path(int fd, char *path, size_t n)
{
	snprintf(path, n, "/proc/self/fd/%d", fd);
	return path;
}

/* Through /proc/self/fd what was looked at is what is opened. Opening must not wait; who writes to it then may. */
static int reopen(int fd)
{
	char path[40];
	int opened =
		open(fd_path(fd, path, sizeof(path)), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (opened >= 0)
		fcntl(opened, F_SETFL, 0);
	return opened;
}

static struct cprof_error *plan_stream(struct cprof_new_file *file, int *fd)
{
	file->stream = true;
	file->fd = reopen(*fd);
	if (file->fd < 0 && errno == ENXIO) /* fifo(7): nobody reads it yet */
		file->pipe = cprof_take_fd(fd);
	else if (file->fd < 0)
		return cannot(file, errno);
	return NULL;
}

/* A descriptor that we were given; our own close on exec, and are nobody's business. */
static struct cprof_error *plan_descriptor(struct cprof_new_file *file)
{
	char *end;
	errno = 0;
	long number = strtol(file->place.name, &end, 10);
	int flags = *end || errno || number > INT_MAX ? -1 : fcntl((int)number, F_GETFD);
	if (flags < 0 || (flags & FD_CLOEXEC))
		return cannot(file, EBADF);
	if ((fcntl((int)number, F_GETFL) & O_ACCMODE) == O_RDONLY)
		return cannot(file, EBADF);
	file->stream = true;
	file->fd = fcntl((int)number, F_DUPFD_CLOEXEC, 0);
	return file->fd < 0 ? cannot(file, errno) : NULL;
}

/* In /proc: a descriptor of ours, or the pipe or device that one of another process is. */
static struct cprof_error *plan_proc(struct cprof_new_file *file, const struct stat *link)
{
	struct stat ours, st;
	if (stat("/proc/self/fd", &ours) == 0 && ours.st_ino == file->place.dir_stat.st_ino &&
	    ours.st_dev == file->place.dir_stat.st_dev)
		return plan_descriptor(file);
	CPROF_AUTO(close) int fd = openat(file->place.dir, file->place.name, O_PATH | O_CLOEXEC);
	if (!S_ISLNK(link->st_mode) || !cprof_place_is_trusted(&file->place.dir_stat, link) ||
	    fd < 0 || fstat(fd, &st) < 0 || !(S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)))
		return cannot(file, EACCES);
	return plan_stream(file, &fd);
}

static bool is_null(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(NULL_MAJOR, NULL_MINOR);
}

static struct cprof_error *plan_existing(struct cprof_new_file *file, int *fd)
{
	struct stat st;
	if (fstat(*fd, &st) < 0)
		return cannot(file, errno);
	if (file->how == CPROF_NEW_FILE_NAMED)
		return NULL;
	if (S_ISDIR(st.st_mode))
		return cannot(file, EISDIR);
	if (cprof_place_in_proc(file->place.dir))
		return plan_proc(file, &st);
	if (S_ISBLK(st.st_mode) || S_ISSOCK(st.st_mode))
		return cprof_error_new(CPROF_ERR_DENIED, "cannot write %s: it is a %s", file->path,
				       S_ISBLK(st.st_mode) ? "disk" : "socket");
	if ((S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode)) &&
	    (is_null(&st) || cprof_place_is_trusted(&file->place.dir_stat, &st)))
		return plan_stream(file, fd);
	/* Of a file that was opened to others on purpose, and not of another file's second name: link(2). */
	if (S_ISREG(st.st_mode) && st.st_uid == geteuid() &&
	    cprof_place_is_trusted(&file->place.dir_stat, &st))
		file->mode = st.st_mode & 0777;
	return file->how == CPROF_NEW_FILE_REPLACE
		       ? NULL
		       : cprof_error_new(CPROF_ERR_EXISTS, "%s exists already", file->path);
}

/* With its place open; takes that and the path. */
static struct cprof_error *plan(struct cprof_new_file *file, struct cprof_new_file *ret_file)
{
	CPROF_AUTO(close)
	int fd = openat(file->place.dir, file->place.name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct cprof_error *err = NULL;
	if (fd >= 0)
		err = plan_existing(file, &fd);
	else if (errno != ENOENT)
		err = cannot(file, errno);
	if (err)
		cprof_new_file_deinit(file);
	else
		*ret_file = *file;
	return err;
}

struct cprof_error *cprof_new_file_plan(const char *path, enum cprof_new_file_how how,
					struct cprof_new_file *ret_file)
{
	struct cprof_new_file file = { .place.dir = -1, .how = how, .fd = -1, .pipe = -1 };
	file.path = strdup(path);
	struct cprof_error *err =
		file.path ? cprof_place_open(path, &file.place) : cprof_error_no_memory();
	if (!err)
		return plan(&file, ret_file);
	if (err->os_errno) {
		int why = err->os_errno;
		cprof_error_free(err);
		err = cannot(&file, why);
	}
	cprof_new_file_deinit(&file);
	return err;
}

struct cprof_error *cprof_new_file_plan_in(int dir, const char *name, enum cprof_new_file_how how,
					   struct cprof_new_file *ret_file)
{
	struct cprof_new_file file = { .how = how, .fd = -1, .pipe = -1 };
	size_t n = strlen(name);
	if (n >= sizeof(file.place.name))
		return cprof_error_os(ENAMETOOLONG, "cannot write %.80s", name);
	file.path = strdup(name);
	if (!file.path)
		return cprof_error_no_memory();
	memcpy(file.place.name, name, n + 1);
	file.place.dir = fcntl(dir, F_DUPFD_CLOEXEC, 0);
	if (file.place.dir >= 0 && fstat(file.place.dir, &file.place.dir_stat) == 0)
		return plan(&file, ret_file);
	struct cprof_error *err = cannot(&file, errno);
	cprof_new_file_deinit(&file);
	return err;
}

/* ---- making ---- */

static bool random_name(char *name, size_t n)
{
	uint64_t bits;
	if (getrandom(&bits, sizeof(bits), 0) != (ssize_t)sizeof(bits))
		return false;
	snprintf(name, n, ".cprof-%016" PRIx64 ".tmp", bits);
	return true;
}

/* A file with a name, where the file system has none without. Nobody can guess the name, and O_EXCL makes it ours. */
static int create_named(struct cprof_new_file *file)
{
	for (int i = 0; i < TEMP_TRIES; i++) {
		char name[sizeof(file->temp)];
		if (!random_name(name, sizeof(name)))
			return -1;
		int fd = openat(file->place.dir, name,
				O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd >= 0)
			memcpy(file->temp, name, sizeof(name));
		if (fd >= 0 || errno != EEXIST)
			return fd;
	}
	return -1;
}

static void drop(struct cprof_new_file *file)
{
	int saved = errno;
	if (file->temp[0])
		unlinkat(file->place.dir, file->temp, 0);
	file->temp[0] = 0;
	cprof_auto_close(&file->fd);
	file->fd = -1;
	errno = saved;
}

static struct cprof_error *create_file(struct cprof_new_file *file)
{
	struct stat st;
	file->fd = openat(file->place.dir, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
	if (file->fd < 0)
		file->fd = create_named(file);
	if (file->fd >= 0 && fstat(file->fd, &st) == 0 && S_ISREG(st.st_mode))
		return NULL;
	int why = file->fd < 0 ? errno : EIO;
	drop(file);
	return cannot(file, why);
}

static struct cprof_error *wait_for_reader(struct cprof_new_file *file,
					   cprof_new_file_stopped_fn *stopped)
{
	uint64_t until_ns = cprof_clock_mono_ns() + READER_WAIT_NS;
	while ((file->fd = reopen(file->pipe)) < 0) {
		if (errno != ENXIO || (stopped && stopped()))
			return cannot(file, errno == ENXIO ? ECANCELED : errno);
		if (cprof_clock_mono_ns() > until_ns)
			return cprof_error_new(
				CPROF_ERR_OS, "cannot write %s: nobody reads the pipe", file->path);
		poll(NULL, 0, WAIT_MS);
	}
	return NULL;
}

struct cprof_error *cprof_new_file_create(struct cprof_new_file *file,
					  cprof_new_file_stopped_fn *stopped)
{
	if (file->stream)
		return file->fd < 0 ? wait_for_reader(file, stopped) : NULL;
	return create_file(file);
}

struct cprof_error *cprof_new_file_try(struct cprof_new_file *file)
{
	if (file->stream)
		return NULL;
	struct cprof_error *err = create_file(file);
	/* A block must be had, too: on a full disk an empty file can still be created. */
	if (!err && write(file->fd, "", 1) != 1)
		err = cannot(file, errno);
	drop(file);
	return err;
}

/* ---- writing ---- */

/* Of a pipe that is not full, so many bytes are free: pipe(7) "PIPE_BUF". A write of no more never waits. */
static size_t piece(int fd, size_t n)
{
	struct stat st;
	bool file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
	return file || n < PIPE_BUF ? n : PIPE_BUF;
}

struct cprof_error *cprof_new_file_put_stream(int fd, const char *name, const void *bytes, size_t n,
					      cprof_new_file_stopped_fn *stopped)
{
	for (size_t at = 0; at < n;) {
		struct pollfd ready = { .fd = fd, .events = POLLOUT };
		int found = poll(&ready, 1, WAIT_MS);
		if (stopped && stopped())
			return cprof_error_os(ECANCELED, "write %s", name);
		if (found <= 0)
			continue;
		ssize_t put = write(fd, (const uint8_t *)bytes + at, piece(fd, n - at));
		if (put < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (put < 0)
			return cprof_error_os(errno, "write %s", name);
		at += (size_t)put;
	}
	return NULL;
}

struct cprof_error *cprof_new_file_put(const struct cprof_new_file *file, const void *bytes,
				       size_t n, cprof_new_file_stopped_fn *stopped)
{
	return cprof_new_file_put_stream(file->fd, file->path, bytes, n, stopped);
}

/* ---- naming ---- */

/* From the descriptor, so that it is our file that gets the name and not what lies under ours by now. */
static int link_as(const struct cprof_new_file *file, const char *name)
{
	char path[40];
	return linkat(AT_FDCWD, fd_path(file->fd, path, sizeof(path)), file->place.dir, name,
		      AT_SYMLINK_FOLLOW);
}

static int give_free_name(struct cprof_new_file *file, const char *name)
{
	if (link_as(file, name) == 0)
		return 0;
	/* Some file systems know only one name of a file. */
	if (errno == EEXIST || !file->temp[0] ||
	    renameat2(file->place.dir, file->temp, file->place.dir, name, RENAME_NOREPLACE) != 0)
		return -1;
	file->temp[0] = 0;
	return 0;
}

static int replace_name(struct cprof_new_file *file, const char *name)
{
	if (!file->temp[0] &&
	    (!random_name(file->temp, sizeof(file->temp)) || link_as(file, file->temp) != 0)) {
		file->temp[0] = 0;
		return -1;
	}
	if (renameat(file->place.dir, file->temp, file->place.dir, name) != 0)
		return -1;
	file->temp[0] = 0;
	return 0;
}

static bool has_name(const struct cprof_new_file *file, const char *name)
{
	struct stat ours, there;
	return fstat(file->fd, &ours) == 0 &&
	       fstatat(file->place.dir, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/*
 * Who runs a command as root wants to read what it wrote. In a directory of others it stays root's: sudoers(5) may allow
 * a user this one command, and a file of his in /etc would be more than that.
 */
static int give_to_caller(const struct cprof_new_file *file)
{
	const struct stat *dir = &file->place.dir_stat;
	uid_t uid;
	gid_t gid;
	if (!cprof_caller_find(&uid, &gid))
		return 0;
	bool his = dir->st_uid == uid || (dir->st_mode & S_IWOTH) ||
		   (dir->st_gid == gid && (dir->st_mode & S_IWGRP));
	/* Some file systems know no owners; then it is as it is. */
	return !his || fchown(file->fd, uid, gid) == 0 || errno == EPERM || errno == EINVAL ||
			       errno == ENOTSUP
		       ? 0
		       : -1;
}

static struct cprof_error *name_it(struct cprof_new_file *file, const char *name)
{
	bool replace = file->how == CPROF_NEW_FILE_REPLACE;
	if (give_to_caller(file) != 0 ||
	    (file->mode && replace && fchmod(file->fd, file->mode) != 0))
		return cannot(file, errno);
	if ((replace ? replace_name(file, name) : give_free_name(file, name)) != 0) {
		int why = errno;
		if (why != EEXIST)
			return cannot(file, why);
		struct cprof_error *err =
			cprof_error_new(CPROF_ERR_EXISTS, "%s was created meanwhile", file->path);
		err->os_errno = EEXIST;
		return err;
	}
	/* Where only we, or root, can have done it, somebody was faster who may: the last one wins. */
	if (has_name(file, name) ||
	    cprof_place_is_trusted(&file->place.dir_stat, &file->place.dir_stat))
		return NULL;
	return cprof_error_new(CPROF_ERR_DENIED,
			       "somebody else removed or replaced %s while it was written",
			       file->path);
}

/* Some file systems tell of a full disk only when closing (close(2)), and that must be known before the old file goes. */
static struct cprof_error *flush(const struct cprof_new_file *file)
{
	int copy = fcntl(file->fd, F_DUPFD_CLOEXEC, 0);
	return copy < 0 || close(copy) != 0 ? cannot(file, errno) : NULL;
}

struct cprof_error *cprof_new_file_finish(struct cprof_new_file *file, const char *name)
{
	struct cprof_error *err = flush(file);
	if (!err && !file->stream)
		err = name_it(file, name ? name : file->place.name);
	if (!err || err->os_errno != EEXIST)
		drop(file);
	return err;
}

struct cprof_error *cprof_new_file_write(struct cprof_new_file *file, const void *bytes, size_t n,
					 cprof_new_file_stopped_fn *stopped)
{
	struct cprof_error *err = cprof_new_file_create(file, stopped);
	if (!err)
		err = cprof_new_file_put(file, bytes, n, stopped);
	if (!err)
		err = cprof_new_file_finish(file, NULL);
	if (err)
		drop(file);
	return err;
}

void cprof_new_file_deinit(struct cprof_new_file *file)
{
	if (!file->path)
		return;
	drop(file);
	cprof_auto_close(&file->pipe);
	cprof_place_close(&file->place);
	free(file->path);
	*file = (struct cprof_new_file){ .place.dir = -1, .fd = -1, .pipe = -1 };
}
