/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_doctor.h - the command -doctor: print what works here, why not, and what would grant it.
 */
#ifndef CPROF_ATTACH_CLI_CMD_DOCTOR_H
#define CPROF_ATTACH_CLI_CMD_DOCTOR_H

#include <stdbool.h>

#include "attach/cli/cli_options.h"
#include "cprof/error.h"

/* On stdout. *ret_works: all of it does. Errors: those of cprof_doctor_examine(), USAGE, OS where nothing can be written. */
struct cprof_error *cprof_cmd_doctor(const struct cprof_attach_options *options, bool *ret_works);

/* The table of what can be granted, as docs/permissions.md has it. */
void cprof_cmd_doctor_table(void);

#endif
