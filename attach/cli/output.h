/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/output.h - where the profile goes: its name, that it can be written there, and writing it.
 *
 * That it can be written is found out before sampling; if it then cannot (a full disk), the profile is kept elsewhere.
 * How a file is written, and what it may replace, is base/new_file.h.
 */
#ifndef CPROF_ATTACH_CLI_OUTPUT_H
#define CPROF_ATTACH_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/cli/answer.h"
#include "attach/cli/cli_options.h"
#include "attach/target/target.h"
#include "base/new_file.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

struct cprof_output {
	struct cprof_new_file file;
	char *path; /* owned; "-" for stdout; after writing, where the profile really is */
	bool to_stdout;
	bool own_name; /* we chose it: a number is appended where it is taken meanwhile */
	cprof_new_file_stopped_fn *stopped; /* the user does not want to wait */
};

/*
 * Decide on the name, with the suffix that `answer` says where it is ours, and see that it can be written. `stopped` is asked while a pipe keeps us waiting. Errors: EXISTS, USAGE (stdout is a terminal), DENIED
 * and OS for what the directory answers.
 */
struct cprof_error *cprof_output_plan(const struct cprof_attach_options *options, const char *mode,
				      const struct cprof_target *const *targets, size_t n_targets,
				      const struct cprof_answer *answer,
				      cprof_new_file_stopped_fn *stopped,
				      struct cprof_output *ret_output);
void cprof_output_deinit(struct cprof_output *output);

/*
 * Write the bytes. Where the place has become unusable the profile is written to $TMPDIR, /tmp, /var/tmp,
 * $HOME or /dev/shm instead, and the error says so; output->path is then that file.
 */
struct cprof_error *cprof_output_write(struct cprof_output *output,
				       const struct cprof_buffer *bytes);

/* The same for one more file, whose name could not be tried beforehand; with `force` it replaces what is there. Errors: also EXISTS. */
struct cprof_error *cprof_output_put(const char *path, bool force,
				     const struct cprof_buffer *bytes);

/*
 * The profile in the place of what could not be made of it, because of `problem`, which is given back with where the profile
 * is now: beside the file that was wanted, with ".pb.gz" behind its name, or as above.
 */
struct cprof_error *cprof_output_keep(struct cprof_output *output, const struct cprof_buffer *pprof,
				      struct cprof_error *problem);

/* Take the written file away again, unless it is a pipe or the like. True: it is gone. */
bool cprof_output_remove(struct cprof_output *output);

#endif
