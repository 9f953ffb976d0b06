/*
 * attach/cli/output.h - where the profile goes: its name, that it can be written there, and writing it.
 *
 * A file appears complete or not at all, mode 0600, and never replaces another one unasked. That it can be
 * written is found out before sampling; if it then cannot (a full disk), the profile is kept elsewhere.
 */
#ifndef CPROF_ATTACH_CLI_OUTPUT_H
#define CPROF_ATTACH_CLI_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/cli/cli_options.h"
#include "attach/target/target.h"
#include "cprof/buffer.h"
#include "cprof/error.h"

enum cprof_output_kind {
	CPROF_OUTPUT_FILE,
	CPROF_OUTPUT_STDOUT,
	CPROF_OUTPUT_DEVICE, /* a pipe or /dev/null: written as it is */
};

struct cprof_output {
	enum cprof_output_kind kind;
	char *path; /* owned; "-" for stdout; after writing, where the profile really is */
	char *temp; /* owned; the name it is written under first */
	bool replace;
	bool own_name; /* we chose it: a number is appended where it is taken meanwhile */
};

/*
 * Decide on the name and see that it can be written. Errors: EXISTS, USAGE (stdout is a terminal), DENIED
 * and OS for what the directory answers.
 */
struct cprof_error *cprof_output_plan(const struct cprof_attach_options *options, const char *mode,
				      const struct cprof_target *const *targets, size_t n_targets,
				      struct cprof_output *ret_output);
void cprof_output_deinit(struct cprof_output *output);

/*
 * Write the bytes. Where the place has become unusable the profile is written to $TMPDIR, /tmp, /var/tmp,
 * $HOME or /dev/shm instead, and the error says so; output->path is then that file.
 */
struct cprof_error *cprof_output_write(struct cprof_output *output,
				       const struct cprof_buffer *bytes);

#endif
