/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/process/owner_file.h - files that only their user may read, not even root: on his FUSE mount, or on an NFS server that
 * takes root for nobody.
 *
 * A child process takes the user's ids, opens the file and copies it to memory of ours. It is waited for as long as the copy grows, and
 * 10 s at most: file systems of others may hang, and then the child is killed. It ends when we do. Who asks pays for the memory.
 * Source of truth: mount.fuse3(8) "allow_root", exports(5) "root_squash", PR_SET_PDEATHSIG(2const).
 */
#ifndef CPROF_SYMBOLIZE_PROCESS_OWNER_FILE_H
#define CPROF_SYMBOLIZE_PROCESS_OWNER_FILE_H

#include <sys/types.h>

#include "cprof/budget.h"
#include "cprof/error.h"

#define CPROF_OWNER_FILE_MAX (256u << 20) /* bytes; of a larger file there is no copy */

/* Runs in the child, with the user's ids: a descriptor, or -1. */
typedef int cprof_owner_file_opener(void *ctx);

/*
 * A descriptor of a copy of what `open_it` opens as `uid` and `gid`, the caller's; -1 and errno: EPERM where we may not become that user,
 * or are him; ETIMEDOUT where the file system hangs. Needs root, or CAP_SETUID and CAP_SETGID. Only one thread may be running.
 */
int cprof_owner_file_copy(uid_t uid, gid_t gid, cprof_owner_file_opener *open_it, void *ctx);

/*
 * The same at the cost of `budget`: the copy counts as memory of it, and its time as time of copying; once a file system has hung, or
 * all copies have taken too long, there are no more. *ret_fd -1 and errno: there is none. `path` is for messages. Errors: UNSUPPORTED (more memory
 * than is left), NO_MEMORY.
 */
struct cprof_error *cprof_owner_file_take(struct cprof_budget *budget, const char *path, uid_t uid,
					  gid_t gid, cprof_owner_file_opener *open_it, void *ctx,
					  int *ret_fd);

#endif
