/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/place.h - a directory held open and a name in it: what a path leads to, found once, so that nobody can lead us
 * elsewhere afterwards.
 *
 * Owns which links are followed on the way: those that nobody but root and the caller could have put there. A link of
 * another user would let him choose which of our files is touched; sysctl fs.protected_symlinks (proc(5)) forbids such
 * links in sticky directories only, and may be off. Links of /proc are the kernel's own and lead where it says.
 *
 * What is done with the name is up to new_file.h.
 */
#ifndef CPROF_BASE_PLACE_H
#define CPROF_BASE_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <sys/stat.h>

#include "cprof/error.h"

struct cprof_place {
	int dir;              /* owned; O_PATH */
	struct stat dir_stat; /* of it, when it was opened */
	char name[NAME_MAX +
		  1]; /* "." where the path ends in a slash or names a directory by dots */
};

/*
 * The directory and last name of `path`, which need not exist. A link at the end is followed like the others if it may
 * be; otherwise `name` is the link. Errors: OS, DENIED (a link of somebody else on the way), NO_MEMORY. Never blocks.
 */
struct cprof_error *cprof_place_open(const char *path, struct cprof_place *ret_place);
void cprof_place_close(struct cprof_place *place);

/*
 * The directory `path` itself, O_PATH, in a way of directories that belong to root or to us; made with mode 0700 as far as
 * it is missing if `make`. It is ours and nobody else may write to it. Errors: OS (ENOENT), DENIED, NO_MEMORY.
 */
struct cprof_error *cprof_place_open_own_dir(const char *path, bool make, int *ret_fd);

/* Whether what `st` describes, found in the directory `dir`, was put there by root or by us. */
bool cprof_place_is_trusted(const struct stat *dir, const struct stat *st);

/* Whether the directory lies in /proc. */
bool cprof_place_in_proc(int dir);

#endif
