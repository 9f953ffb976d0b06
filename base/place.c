/* SPDX-License-Identifier: Apache-2.0 */
#include "base/place.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

#include "base/cleanup.h"

#define LINKS_MAX 40 /* as the kernel: path_resolution(7) */
#define ALL_IDS   UINT32_MAX
#define OVERFLOW_UID                                                                               \
	65534 /* proc(5) "/proc/sys/kernel/overflowuid": whoever has no number in our user namespace */

/* ---- whom we trust ---- */

/* A user namespace shows owners that it has no number for, root of the machine too, as one and the same user. */
static bool knows_all_users(void)
{
	CPROF_AUTO(fclose) FILE *map = fopen("/proc/self/uid_map", "re");
	unsigned inside = 0, outside = 0, n = 0;
	return !map || (fscanf(map, "%u %u %u", &inside, &outside, &n) == 3 && !inside &&
			!outside && n == ALL_IDS);
}

static bool is_root_or_us(uid_t uid)
{
	return uid == 0 || uid == geteuid() || (uid == OVERFLOW_UID && !knows_all_users());
}

/* Others can put something into it, or move what is there. */
static bool is_open_to_all(const struct stat *dir)
{
	return (dir->st_mode & S_IWOTH) && !(dir->st_mode & S_ISVTX);
}

bool cprof_place_is_trusted(const struct stat *dir, const struct stat *st)
{
	/* Another name may have been given to a link or pipe of ours by whoever it is to deceive: link(2). */
	return is_root_or_us(st->st_uid) && is_root_or_us(dir->st_uid) && !is_open_to_all(dir) &&
	       (S_ISDIR(st->st_mode) || st->st_nlink == 1);
}

bool cprof_place_in_proc(int dir)
{
	struct statfs fs;
	return fstatfs(dir, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

/* ---- the way ---- */

struct walk {
	const char *path; /* borrowed; for messages */
	int dir;          /* owned */
	struct stat st;   /* of dir */
	char *rest;       /* owned */
	const char *at;   /* in rest: what is still to be walked */
	unsigned links;
	bool own;  /* every directory must be root's or ours */
	bool make; /* what is missing is made */
};

static void walk_deinit(struct walk *walk)
{
	cprof_auto_close(&walk->dir);
	free(walk->rest);
}

static struct cprof_error *cannot(const struct walk *walk, int why)
{
	return cprof_error_os(why, "open %s", walk->path);
}

static struct cprof_error *enter(struct walk *walk, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode)) {
		close(fd);
		return cannot(walk, ENOTDIR);
	}
	if (walk->own && (!is_root_or_us(st.st_uid) || is_open_to_all(&st))) {
		close(fd);
		return cprof_error_new(CPROF_ERR_DENIED,
				       "a directory on the way to %s belongs to somebody else",
				       walk->path);
	}
	cprof_auto_close(&walk->dir);
	walk->dir = fd;
	walk->st = st;
	return NULL;
}

static struct cprof_error *start(struct walk *walk, const char *path)
{
	int fd = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? cannot(walk, errno) : enter(walk, fd);
}

/* The next name, and whether it is the last one; a path that ends in a slash ends in ".". */
static struct cprof_error *next_name(struct walk *walk, char *name, bool *ret_last)
{
	walk->at += strspn(walk->at, "/");
	size_t n = strcspn(walk->at, "/");
	if (n > NAME_MAX)
		return cannot(walk, ENAMETOOLONG);
	memcpy(name, walk->at, n);
	name[n] = 0;
	if (!n)
		memcpy(name, ".", 2);
	walk->at += n;
	*ret_last = !*walk->at;
	return NULL;
}

/* What the link says stands in its place. */
static struct cprof_error *follow(struct walk *walk, int link)
{
	char target[PATH_MAX];
	char *rest;
	ssize_t n = readlinkat(link, "", target, sizeof(target) - 1);
	if (n <= 0)
		return cannot(walk, n < 0 ? errno : ENOENT);
	if (++walk->links > LINKS_MAX)
		return cannot(walk, ELOOP);
	target[n] = 0;
	if (asprintf(&rest, "%s%s", target, walk->at) < 0)
		return cprof_error_no_memory();
	free(walk->rest);
	walk->at = walk->rest = rest;
	return *target == '/' ? start(walk, target) : NULL;
}

static int open_name(const struct walk *walk, const char *name)
{
	int fd = openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 || errno != ENOENT || !walk->make)
		return fd;
	if (mkdirat(walk->dir, name, 0700) < 0 && errno != EEXIST)
		return -1;
	return openat(walk->dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static struct cprof_error *refuse_link(const struct walk *walk, const char *name)
{
	struct cprof_error *err = cprof_error_new(
		CPROF_ERR_DENIED, "%s: \"%s\" in it is a link that somebody else could have made",
		walk->path, name);
	return cprof_error_hint(err, "name the place that the link leads to");
}

/* One step. Sets *ret_end where `name` is the end of the way. */
static struct cprof_error *step(struct walk *walk, char *name, bool to_directory, bool *ret_end)
{
	struct stat st;
	bool last;
	struct cprof_error *err = next_name(walk, name, &last);
	if (err)
		return err;
	CPROF_AUTO(close) int fd = open_name(walk, name);
	if (fd < 0 || fstat(fd, &st) < 0) {
		*ret_end = last && !to_directory && errno == ENOENT;
		return *ret_end ? NULL : cannot(walk, errno);
	}
	bool stay = last && !to_directory;
	if (S_ISLNK(st.st_mode) && cprof_place_in_proc(walk->dir)) {
		*ret_end = stay;
		int there = stay ? -1 : openat(walk->dir, name, O_PATH | O_CLOEXEC);
		return stay ? NULL : there < 0 ? cannot(walk, errno) : enter(walk, there);
	}
	if (S_ISLNK(st.st_mode) && cprof_place_is_trusted(&walk->st, &st) && !(last && walk->own))
		return follow(walk, fd);
	if (S_ISLNK(st.st_mode) && !stay)
		return refuse_link(walk, name);
	*ret_end = last;
	return stay ? NULL : enter(walk, cprof_take_fd(&fd));
}

static struct cprof_error *walk_all(struct walk *walk, char *name, bool to_directory)
{
	bool end = false;
	walk->at = walk->rest = strdup(walk->path);
	if (!walk->rest)
		return cprof_error_no_memory();
	struct cprof_error *err = start(walk, walk->path);
	while (!err && !end)
		err = step(walk, name, to_directory, &end);
	return err;
}

/* ---- the ends ---- */

struct cprof_error *cprof_place_open(const char *path, struct cprof_place *ret_place)
{
	struct walk walk = { .path = path, .dir = -1 };
	struct cprof_place place;
	struct cprof_error *err = walk_all(&walk, place.name, false);
	if (!err) {
		place.dir = cprof_take_fd(&walk.dir);
		place.dir_stat = walk.st;
		*ret_place = place;
	}
	walk_deinit(&walk);
	return err;
}

void cprof_place_close(struct cprof_place *place)
{
	cprof_auto_close(&place->dir);
	place->dir = -1;
}

struct cprof_error *cprof_place_open_own_dir(const char *path, bool make, int *ret_fd)
{
	struct walk walk = { .path = path, .dir = -1, .own = true, .make = make };
	char name[NAME_MAX + 1];
	struct cprof_error *err = walk_all(&walk, name, true);
	if (!err && (walk.st.st_uid != geteuid() || (walk.st.st_mode & (S_IWGRP | S_IWOTH))))
		err = cprof_error_new(CPROF_ERR_DENIED,
				      "%s belongs to somebody else, or others can write to it",
				      path);
	if (!err)
		*ret_fd = cprof_take_fd(&walk.dir);
	walk_deinit(&walk);
	return err;
}
