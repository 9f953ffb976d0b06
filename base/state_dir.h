/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/state_dir.h - a directory of our own in which files outlive us: written through to the disk, whole or not at all.
 *
 * As with the cache (cache_dir.h) the directory is ours and nobody else may write to it; but what lies here cannot be found
 * out again, so a file has a name only once its bytes are on the disk, and several processes may use the directory: who works
 * on a file holds a lock on it (flock(2)), which ends with him however he ends.
 *
 * Leaves what the files mean to their owners (convert/delivery/spool.h). Source of truth: fsync(2), flock(2); the places:
 * XDG Base Directory Specification, systemd.exec(5) "StateDirectory=".
 */
#ifndef CPROF_BASE_STATE_DIR_H
#define CPROF_BASE_STATE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/*
 * $STATE_DIRECTORY/LEAF (a service manager's), $XDG_STATE_HOME/cprof/LEAF, for root /var/lib/cprof/LEAF, for others
 * $HOME/.local/state/cprof/LEAF: the first that is, or can be made, ours in a home that exists; NULL where there is none.
 * malloc'd. Makes nothing.
 */
char *cprof_state_dir_default(const char *leaf);

struct cprof_state_dir {
	char *path; /* owned */
	int fd;     /* owned; O_PATH */
};

/* Make it if it is not there. Errors: OS, DENIED (not ours alone), NO_MEMORY. */
struct cprof_error *cprof_state_dir_open(const char *path, struct cprof_state_dir *ret_dir);
void cprof_state_dir_deinit(struct cprof_state_dir *dir);

/*
 * A new file of these bytes, mode 0600, on the disk when this returns. *ret_fd is the caller's: open for writing in place, with
 * the lock. Errors: EXISTS, OS (ENOSPC, EROFS, ...), NO_MEMORY; nothing is left behind then.
 */
struct cprof_error *cprof_state_dir_put(const struct cprof_state_dir *dir, const char *name,
					const void *bytes, size_t n, int *ret_fd);

/*
 * Open a file that is ours alone for reading (and writing in place, where the disk allows it) and lock it. -1 and errno:
 * EWOULDBLOCK where somebody else works on it, ENOENT where he is done with it, EPERM where it is not ours. Never waits.
 */
int cprof_state_dir_claim(const struct cprof_state_dir *dir, const char *name);

/* Remove it, for good. False: it is still there. */
bool cprof_state_dir_remove(const struct cprof_state_dir *dir, const char *name);

/* The files whose names end in `suffix`, by name. Removes what a killed writer left, where it is a day old. */
struct cprof_state_file {
	char name[128];
	uint64_t size;
};
struct cprof_state_files {
	struct cprof_state_file *items; /* owned */
	size_t len, cap;
};
struct cprof_error *cprof_state_dir_list(const struct cprof_state_dir *dir, const char *suffix,
					 struct cprof_state_files *files);
void cprof_state_files_deinit(struct cprof_state_files *files);

static inline void cprof_auto_state_files(struct cprof_state_files *files)
{
	cprof_state_files_deinit(files);
}

#endif
