/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/foreign_file.h - the one way in which we open a file that somebody else named: a process that is profiled, a debug
 * link in a program, a profile from elsewhere.
 *
 * What lies there is looked at before it is opened (O_PATH), and only a regular file is, through the descriptor that was
 * looked at: opening a device can do something (a watchdog, a tape), opening a pipe waits for its other end, and files of
 * /proc, /sys and their like do things when they are opened or read. Nothing here waits for whoever holds a lease on the
 * file (fcntl(2) "F_SETLEASE").
 *
 * Below the root of another process, no link leads out of it. Files that the user himself names on the command line are
 * not for here: they may be pipes. Source of truth: openat2(2), open(2) "O_PATH".
 */
#ifndef CPROF_BASE_FOREIGN_FILE_H
#define CPROF_BASE_FOREIGN_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * The regular file at `path` as we see files, open for reading; links are followed, those of /proc too. -1 and errno:
 * EINVAL where it is no regular file, or one of a file system that is no store of files.
 */
int cprof_foreign_file_open(const char *path);

/*
 * The same for `path` below the directory `root` ("/proc/42/root"): links in it, absolute ones and "..", are taken as a
 * process sees them whose root that is. `root` "": as cprof_foreign_file_open().
 */
int cprof_foreign_file_open_below(const char *root, const char *path);

/* The same for `name` in the directory `dir` below `root`; `name` itself is no link then. */
int cprof_foreign_file_open_in(const char *root, const char *dir, const char *name);

/* The regular file that `fd`, opened with O_PATH, was found to be. */
int cprof_foreign_file_reopen(int fd);

/* A directory below `root`, for reading its names; NULL and errno. */
DIR *cprof_foreign_file_list_below(const char *root, const char *path);

/* Append the content of `path` below `root`. Errors: OS, BAD_DATA (longer than `limit`), NO_MEMORY. */
struct cprof_error *cprof_foreign_file_read_below(const char *root, const char *path, size_t limit,
						  struct cprof_buffer *out);

/*
 * Whether only `uid` and root can have written what `fd` is open on: theirs, its only name, and no right for others to
 * write; of a group only for `gid`, the owner's own. A file of root's that `uid` could not read is none of his, either.
 */
bool cprof_foreign_file_is_of(int fd, uid_t uid, gid_t gid);

/* The walk that stands in for openat2(2) on kernels before 5.6; an O_PATH descriptor, or -1 and errno. For tests. */
int cprof_foreign_file_walk(int root, const char *path);

#endif
