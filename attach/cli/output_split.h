/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/output_split.h - one file for each process: what -o means by "%p".
 *
 * The run makes one profile, in which the label pid says whose a sample is; it is taken apart here. Leaves the first process's file to
 * output.h, which has tried beforehand whether it can be written.
 */
#ifndef CPROF_ATTACH_CLI_OUTPUT_SPLIT_H
#define CPROF_ATTACH_CLI_OUTPUT_SPLIT_H

#include <stdbool.h>
#include <sys/types.h>

#include "cprof/buffer.h"
#include "cprof/error.h"
#include "cprof/profile.h"

#define CPROF_OUTPUT_SPLIT_MARK "%p"

/* Whether `name` has the mark. */
bool cprof_output_split_wanted(const char *name);

/* `pattern` with `pid` for each mark; malloc'd, NULL: no memory. */
char *cprof_output_split_name(const char *pattern, pid_t pid);

/*
 * Write a file for each process in `profile` but `first`, replacing what is there with `force`; a line for each into `said`. `*ret_first` is
 * what belongs to `first`, the caller's. Errors: EXISTS, DENIED, OS (those written before stay), NO_MEMORY.
 */
struct cprof_error *cprof_output_split_write(const struct cprof_profile *profile,
					     const char *pattern, pid_t first, bool force,
					     struct cprof_profile **ret_first,
					     struct cprof_buffer *said);

#endif
