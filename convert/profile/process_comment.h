/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/profile/process_comment.h - whose profile it is, as cprof-attach says it: the comment "process: COMM PID", behind which
 * ", service NAME" may stand (attach/run/session.c).
 */
#ifndef CPROF_CONVERT_PROFILE_PROCESS_COMMENT_H
#define CPROF_CONVERT_PROFILE_PROCESS_COMMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/profile.h"

/* Borrowed from the comment's text. */
struct cprof_process_comment {
	const char *comm;
	size_t n_comm;
	int64_t pid;
	const char *service; /* NULL: it says none */
};

/* False: the comment is about something else. */
bool cprof_process_comment_parse(const char *comment, struct cprof_process_comment *ret_process);

/* The first one of a profile; false: nobody knows. */
bool cprof_process_comment_find(const struct cprof_profile *profile,
				struct cprof_process_comment *ret_process);

#endif
