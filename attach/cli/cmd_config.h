/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_config.h - -show-config: what is set, and where each value comes from.
 */
#ifndef CPROF_ATTACH_CLI_CMD_CONFIG_H
#define CPROF_ATTACH_CLI_CMD_CONFIG_H

#include "attach/cli/cli_options.h"

/* On stdout. Nothing of a secret is shown but which variable or file it is in. False: it could not be written. */
bool cprof_cmd_show_config(const struct cprof_attach_options *options);

#endif
