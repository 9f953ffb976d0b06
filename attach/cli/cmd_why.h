/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_why.h - the command -why: print which names a file or a process has, and how to get better ones.
 */
#ifndef CPROF_ATTACH_CLI_CMD_WHY_H
#define CPROF_ATTACH_CLI_CMD_WHY_H

#include "attach/cli/cli_options.h"
#include "attach/target/target.h"
#include "cprof/error.h"

/* Prints on stdout. Errors: whatever reading the process's mappings gives. */
struct cprof_error *cprof_cmd_why_process(struct cprof_target *target,
					  const struct cprof_attach_options *options);

/* The files in options->files. Errors: OS, BAD_DATA (no ELF file), UNSUPPORTED. */
struct cprof_error *cprof_cmd_why_files(const struct cprof_attach_options *options);

#endif
