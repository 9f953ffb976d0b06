/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cache_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "base/file.h"
#include "base/new_file.h"
#include "base/place.h"

#define ROOTS_BASE "/root/.cache"
#define KEY_FILE   "key"
#define TEMP_NAME  ".cprof-" /* of files that are being written: new_file.c */
#define TEMP_AGE   86400     /* seconds; whoever wrote it has long been killed */

/* ---- which ---- */

bool cprof_cache_dir_may_be_ours(const char *path)
{
	int fd = -1;
	struct cprof_error *err = cprof_place_open_own_dir(path, false, &fd);
	bool good = !err || err->os_errno == ENOENT;
	cprof_auto_close(&fd);
	cprof_error_free(err);
	return good;
}

/* The home of a service's account often does not exist (/nonexistent), and somebody means it so. */
static bool has_parent(const char *path)
{
	struct stat st;
	const char *end = path + strlen(path);
	while (end > path + 1 && end[-1] == '/')
		end--;
	while (end > path && end[-1] != '/')
		end--;
	CPROF_AUTO(free) char *parent = strndup(path, (size_t)(end - path));
	return parent && stat(parent, &st) == 0 && S_ISDIR(st.st_mode);
}

/* `leaf` in the directory `base`; NULL where that cannot be ours, or nobody has made what it would lie in. */
static char *in_base(const char *base, const char *leaf)
{
	char *dir;
	if (!has_parent(base) || asprintf(&dir, "%s/%s", base, leaf) < 0)
		return NULL;
	if (cprof_cache_dir_may_be_ours(dir))
		return dir;
	free(dir);
	return NULL;
}

char *cprof_cache_dir_of_user(const char *leaf)
{
	const char *base = secure_getenv("XDG_CACHE_HOME"), *home = secure_getenv("HOME");
	CPROF_AUTO(free) char *usual = NULL;
	if (base && base[0] == '/')
		return in_base(base, leaf);
	if (!home || home[0] != '/' || asprintf(&usual, "%s/.cache", home) < 0)
		return NULL;
	return in_base(usual, leaf);
}

char *cprof_cache_dir_default(void)
{
	char *dir = cprof_cache_dir_of_user("cprof");
	return dir || geteuid() != 0 ? dir : in_base(ROOTS_BASE, "cprof");
}

/* ---- files ---- */

/* With no name left it has just been replaced, and is as good as it was. */
static bool is_ours_alone(const struct stat *st)
{
	return S_ISREG(st->st_mode) && st->st_uid == geteuid() && st->st_nlink <= 1 &&
	       !(st->st_mode & (S_IWGRP | S_IWOTH));
}

/* The descriptor of a file that is there and ours; -1: there is none. */
static int open_ours(const char *dir, const char *name)
{
	struct stat st;
	CPROF_AUTO(close) int place = -1;
	struct cprof_error *err = cprof_place_open_own_dir(dir, false, &place);
	if (err) {
		cprof_error_free(err);
		return -1;
	}
	CPROF_AUTO(close)
	int fd = openat(place, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0 || !is_ours_alone(&st))
		return -1;
	return cprof_take_fd(&fd);
}

struct cprof_error *cprof_cache_dir_read(const char *dir, const char *name, size_t limit,
					 struct cprof_buffer *ret_bytes)
{
	CPROF_AUTO(close) int fd = open_ours(dir, name);
	if (fd < 0)
		return NULL;
	struct cprof_error *err = cprof_file_read_fd(fd, name, limit, ret_bytes);
	if (!err)
		futimens(fd, NULL); /* the last to be dropped */
	return err;
}

int cprof_cache_dir_open(const char *dir, const char *name)
{
	const int fd = open_ours(dir, name);
	if (fd >= 0)
		futimens(fd, NULL);
	return fd;
}

bool cprof_cache_dir_read_head(const char *dir, const char *name, void *room, size_t n)
{
	CPROF_AUTO(close) int fd = open_ours(dir, name);
	return fd >= 0 && pread(fd, room, n, 0) == (ssize_t)n;
}

static struct cprof_error *write_in(const char *dir, const char *name, enum cprof_new_file_how how,
				    const void *bytes, size_t n)
{
	struct cprof_new_file file = { 0 };
	CPROF_AUTO(close) int place = -1;
	struct cprof_error *err = cprof_place_open_own_dir(dir, true, &place);
	if (!err)
		err = cprof_new_file_plan_in(place, name, how, &file);
	if (!err)
		err = cprof_new_file_write(&file, bytes, n, NULL);
	cprof_new_file_deinit(&file);
	return err;
}

struct cprof_error *cprof_cache_dir_write(const char *dir, const char *name,
					  const struct cprof_buffer *bytes)
{
	return write_in(dir, name, CPROF_NEW_FILE_REPLACE, bytes->data, bytes->len);
}

/* ---- the key ---- */

static bool read_key(const char *dir, struct cprof_content_key *ret_key)
{
	CPROF_AUTO(buffer) struct cprof_buffer bytes = { 0 };
	cprof_error_free(cprof_cache_dir_read(dir, KEY_FILE, sizeof(*ret_key), &bytes));
	if (bytes.len != sizeof(*ret_key))
		return false;
	memcpy(ret_key, bytes.data, sizeof(*ret_key));
	return true;
}

struct cprof_error *cprof_cache_dir_key(const char *dir, struct cprof_content_key *ret_key)
{
	struct cprof_content_key key;
	if (read_key(dir, ret_key))
		return NULL;
	for (size_t at = 0; at < sizeof(key);) {
		ssize_t n = getrandom((uint8_t *)&key + at, sizeof(key) - at, 0);
		if (n < 0 && errno != EINTR)
			return cprof_error_os(errno, "getrandom");
		at += n < 0 ? 0 : (size_t)n;
	}
	/* Of two who make one at the same time the first wins, and both use that; a broken one is written anew. */
	struct cprof_error *err = write_in(dir, KEY_FILE, CPROF_NEW_FILE_REFUSE, &key, sizeof(key));
	if (err && err->code == CPROF_ERR_EXISTS) {
		cprof_error_free(err);
		if (read_key(dir, ret_key))
			return NULL;
		err = write_in(dir, KEY_FILE, CPROF_NEW_FILE_REPLACE, &key, sizeof(key));
	}
	if (!err)
		*ret_key = key;
	return err;
}

/* ---- bounds ---- */

struct old_file {
	char name[256];
	uint64_t size;
	struct timespec used;
};

static int by_use(const void *a_, const void *b_)
{
	const struct old_file *a = a_, *b = b_;
	if (a->used.tv_sec != b->used.tv_sec)
		return a->used.tv_sec < b->used.tv_sec ? -1 : 1;
	return a->used.tv_nsec < b->used.tv_nsec ? -1 : a->used.tv_nsec > b->used.tv_nsec;
}

static bool ends_in(const char *name, const char *suffix)
{
	size_t n = strlen(name), len = strlen(suffix);
	return n > len && strcmp(name + n - len, suffix) == 0;
}

static bool is_left_behind(const char *name, const struct stat *st)
{
	return strncmp(name, TEMP_NAME, strlen(TEMP_NAME)) == 0 && ends_in(name, ".tmp") &&
	       st->st_mtim.tv_sec + TEMP_AGE < time(NULL);
}

static DIR *list(const char *dir)
{
	CPROF_AUTO(close) int place = -1;
	struct cprof_error *err = cprof_place_open_own_dir(dir, false, &place);
	cprof_error_free(err);
	CPROF_AUTO(close)
	int fd = err ? -1 : openat(place, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *listing = fd < 0 ? NULL : fdopendir(fd);
	if (listing)
		cprof_take_fd(&fd);
	return listing;
}

void cprof_cache_dir_trim(const char *dir, const struct cprof_cache_dir_bounds *bounds)
{
	CPROF_AUTO(closedir) DIR *listing = list(dir);
	CPROF_AUTO(free) struct old_file *files = NULL;
	size_t n = 0, cap = 0;
	uint64_t total = 0;
	for (struct dirent *entry; listing && (entry = readdir(listing));) {
		struct stat st;
		if (fstatat(dirfd(listing), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !is_ours_alone(&st))
			continue;
		if (is_left_behind(entry->d_name, &st))
			unlinkat(dirfd(listing), entry->d_name, 0);
		if (!ends_in(entry->d_name, bounds->suffix) || !CPROF_ARRAY_ROOM(files, n, cap, 1))
			continue;
		files[n].size = (uint64_t)st.st_size;
		files[n].used = st.st_mtim;
		memcpy(files[n].name, entry->d_name, strlen(entry->d_name) + 1);
		total += files[n++].size;
	}
	if (total <= bounds->bytes_max && n <= bounds->files_max)
		return;
	uint64_t keep = total > bounds->bytes_max ? bounds->bytes_keep : bounds->bytes_max;
	size_t keep_files = n > bounds->files_max ? bounds->files_keep : bounds->files_max,
	       left = n;
	qsort(files, n, sizeof(*files), by_use);
	for (size_t i = 0; i < n && (total > keep || left > keep_files); i++) {
		if (unlinkat(dirfd(listing), files[i].name, 0) == 0) {
			total -= files[i].size;
			left--;
		}
	}
}
