/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/cache_dir.h - the directory in which we keep what we need not find out twice, and the files in it.
 *
 * What lies there is believed, so it must be ours: the directory and all above it belong to root or to us, nobody else can
 * write to it, and it is no link. Root that was called through sudo(8) finds HOME to be somebody else's, and keeps its
 * things in its own. A home that does not exist is never made. With more rights than the caller (file capabilities: getauxval(3) "AT_SECURE") nothing is kept at all.
 *
 * Leaves what the files mean to their owners (symbolize/names/symbol_cache.h).
 */
#ifndef CPROF_BASE_CACHE_DIR_H
#define CPROF_BASE_CACHE_DIR_H

#include <stdbool.h>

#include "base/content_hash.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * $XDG_CACHE_HOME/LEAF or $HOME/.cache/LEAF, where that is, or can be made, ours, and the home (the directory in which the
 * cache's own would be made) exists; NULL otherwise. malloc'd. Makes nothing.
 */
char *cprof_cache_dir_of_user(const char *leaf);

/*
 * $XDG_CACHE_HOME/cprof or $HOME/.cache/cprof if that is, or can be made, ours, as above; for root otherwise /root/.cache/cprof;
 * NULL where there is none. malloc'd. Makes nothing.
 */
char *cprof_cache_dir_default(void);

/* Whether `path` is a directory of ours, or can be made one: all above it is root's or ours. */
bool cprof_cache_dir_may_be_ours(const char *path);

/*
 * The file `name` of `dir`, which is read to its end: empty where there is none, or it is not ours alone. That it was used
 * is noted in its time. Errors: OS, BAD_DATA (longer than `limit`), NO_MEMORY.
 */
struct cprof_error *cprof_cache_dir_read(const char *dir, const char *name, size_t limit,
					 struct cprof_buffer *ret_bytes);

/* Its descriptor, for who reads a part of it; noted in its time likewise. -1: none is there, or it is not ours alone. */
int cprof_cache_dir_open(const char *dir, const char *name);

/* Its first `n` bytes alone; false: it has fewer, there is none, or it is not ours alone. */
bool cprof_cache_dir_read_head(const char *dir, const char *name, void *room, size_t n);

/* Write it whole, over an older one; makes `dir`. Errors: OS, DENIED (not ours), NO_MEMORY. */
struct cprof_error *cprof_cache_dir_write(const char *dir, const char *name,
					  const struct cprof_buffer *bytes);

/* The key of content_hash.h that belongs to `dir`, made on first use. Makes `dir`. Errors: as for writing. */
struct cprof_error *cprof_cache_dir_key(const char *dir, struct cprof_content_key *ret_key);

/*
 * Remove the files of `dir` that were not used for longest until at most so many bytes, and so many files, are left; if
 * there are more than that. Only those of ours whose names end in `suffix` are counted or touched.
 */
struct cprof_cache_dir_bounds {
	const char *suffix;
	uint64_t bytes_max, bytes_keep, files_max, files_keep;
};
void cprof_cache_dir_trim(const char *dir, const struct cprof_cache_dir_bounds *bounds);

#endif
