/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cli_options_impl.h - the inside of cli_options: when a command line means profiles for ever.
 */
#ifndef CPROF_ATTACH_CLI_CLI_OPTIONS_IMPL_H
#define CPROF_ATTACH_CLI_CLI_OPTIONS_IMPL_H

#include "attach/cli/cli_options.h"
#include "cprof/error.h"

/* -push with -every, -modes or a set of processes: fill options->continuous. Errors: USAGE for what does not go with it. */
struct cprof_error *cli_options_settle_continuous(struct cprof_attach_options *options);

#endif
