/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/ring_files.h - the files that a ring writes: how they are called, and which of them stay.
 *
 * With one file to be kept it is FILE itself, and each replaces the one before. With more, the time stands in each name, before
 * what says its format: spike.pb.gz is written as spike.20260801T120000Z.pb.gz. Only files of this run are ever removed.
 */
#ifndef CPROF_ATTACH_CLI_RING_FILES_H
#define CPROF_ATTACH_CLI_RING_FILES_H

#include <stdbool.h>
#include <stddef.h>

#include "attach/cli/answer.h"
#include "attach/cli/cli_options.h"
#include "attach/cli/output.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_ring_files {
	const struct cprof_attach_options *options; /* borrowed, as all pointers here */
	const char *mode;
	const struct cprof_target *target;
	const struct cprof_answer *answer;
	struct cprof_output *written; /* owned; the oldest first, options->ring.keep at most */
	size_t n;
	bool placed; /* there is one where it was to be: FILE is ours */
};

/* See that files can be written there. Errors: as cprof_output_plan(); NO_MEMORY. */
struct cprof_error *cprof_ring_files_init(struct cprof_ring_files *files);
void cprof_ring_files_deinit(struct cprof_ring_files *files);

/* Write one more, and remove what is too old. Where it is goes to *ret_path, borrowed. Errors: those of cprof_output_write(); also then it may be somewhere. */
struct cprof_error *cprof_ring_files_write(struct cprof_ring_files *files,
					   const struct cprof_buffer *bytes, const char **ret_path);

/* "a/b.pb.gz" with a time in it, the caller's; NULL: no memory. */
char *cprof_ring_files_name(const char *file, time_t when);

#endif
