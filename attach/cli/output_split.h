/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/output_split.h - one file for each process, where -o has the mark of output_pattern.h.
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

/* What belongs to `first`, and to nobody; the caller's. Errors: NO_MEMORY. */
struct cprof_error *cprof_output_split_first(const struct cprof_profile *profile, pid_t first,
					     struct cprof_profile **ret_first);

/*
 * Write a file for each process in `profile` but `first`, replacing what is there with `force`; a line for each into `said`. One that cannot
 * be written stops no other one: it is kept elsewhere, as by cprof_output_write(). Errors: `err`, which is taken
 * (NULL: nothing has gone wrong before), else of the first of these; those after it are lines.
 */
struct cprof_error *cprof_output_split_write(const struct cprof_profile *profile,
					     const char *pattern, pid_t first, bool force,
					     struct cprof_error *err, struct cprof_buffer *said);

#endif
