/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/caller.h - for whom root runs us: the user who called sudo(8), run0(1), pkexec(1) or doas(1).
 *
 * Only ever used to give something away to that user; whoever can set root's environment can do more than that.
 */
#ifndef CPROF_BASE_CALLER_H
#define CPROF_BASE_CALLER_H

#include <stdbool.h>
#include <sys/types.h>

/* Those of the user, who is not root; false: we are not root, or root runs us for itself. */
bool cprof_caller_find(uid_t *ret_uid, gid_t *ret_gid);

/* An id as sudo writes it: decimal digits, and not the one that says "none" to chown(2). */
bool cprof_caller_parse_id(const char *text, unsigned *ret_id);

#endif
