/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/secret.h - what must not be shown, and where it comes from instead of a command line.
 *
 * A command line is read by everybody on the machine (/proc/PID/cmdline, ps), so a password or a token comes from a file or
 * from the environment; and of a URL only what holds no secret is shown, whoever shows it.
 */
#ifndef CPROF_BASE_SECRET_H
#define CPROF_BASE_SECRET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "cprof/buffer.h"
#include "cprof/error.h"

/* Does what is called by these `n` bytes hold a secret ("token", "password", "api-key")? */
bool cprof_secret_is_name(const char *name, size_t n);

/*
 * Append scheme://host/path?query as far as it may be shown: "...@" in the place of a user, "..." in that of a fragment and
 * of parameters, but for the few that profiles are asked for by (seconds=30).
 */
void cprof_secret_put_url(const char *url, struct cprof_buffer *out);

/*
 * The first line of `file`, or where that is NULL or "", the environment's `variable`. *ret is the caller's to free, NULL
 * where there is neither. Errors: OS for a file that cannot be read, BAD_DATA for an empty one or one of more than 16 KiB.
 */
struct cprof_error *cprof_secret_read(const char *file, const char *variable, char **ret);

/*
 * The first line of `file`, which lets others in to us: a regular file of ours or of root's that no other user may read and
 * nobody else may write. *ret_stat (of fstat(2)) tells whether it is still the same file. *ret is the caller's to free. Errors: OS, DENIED
 * (others may read or write it), BAD_DATA (empty, more than 16 KiB, no regular file).
 */
struct cprof_error *cprof_secret_read_kept(const char *file, struct stat *ret_stat, char **ret);

#endif
