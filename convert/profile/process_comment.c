/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/process_comment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char start[] = "process: ", behind[] = ", service ";

/* The end of the number that stands behind the name, which may have blanks in it. */
static const char *end_of_pid(const char *text)
{
	for (const char *at = strstr(text, behind); at; at = strstr(at + 1, behind)) {
		if (at > text && at[-1] >= '0' && at[-1] <= '9')
			return at;
	}
	return text + strlen(text);
}

bool cprof_process_comment_parse(const char *comment, struct cprof_process_comment *ret_process)
{
	if (strncmp(comment, start, sizeof(start) - 1) != 0)
		return false;
	const char *comm = comment + sizeof(start) - 1;
	const char *end = end_of_pid(comm), *pid = end;
	while (pid > comm && pid[-1] != ' ')
		pid--;
	if (pid < comm + 2 || *pid < '0' || *pid > '9')
		return false;
	char *stop;
	errno = 0;
	const long long number = strtoll(pid, &stop, 10);
	if (errno || stop != end)
		return false;
	*ret_process = (struct cprof_process_comment){
		.comm = comm,
		.n_comm = (size_t)(pid - 1 - comm),
		.pid = number,
		.service = *end ? end + sizeof(behind) - 1 : NULL,
	};
	return true;
}

bool cprof_process_comment_find(const struct cprof_profile *profile,
				struct cprof_process_comment *ret_process)
{
	for (uint32_t i = 0; i < profile->n_comments; i++) {
		if (cprof_process_comment_parse(cprof_profile_text(profile, profile->comments[i]),
						ret_process))
			return true;
	}
	return false;
}
