/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/cmd_tell.h - what the program says of itself on stdout: -help, -completion, the options for the man page, -event list.
 */
#ifndef CPROF_ATTACH_CLI_CMD_TELL_H
#define CPROF_ATTACH_CLI_CMD_TELL_H

#include <stdbool.h>

#include "cprof/error.h"

/*
 * `topic`: a word of a heading, an option, "modes" or "all"; NULL: the short form for a terminal, all for anything else. Errors:
 * USAGE, there is no such topic.
 */
struct cprof_error *cprof_cmd_help(const char *topic);

void cprof_cmd_man_options(void);

/* A script for this shell. Errors: USAGE, there is none for it. */
struct cprof_error *cprof_cmd_completion(const char *shell);

/* The events that can be opened here. *ret_pmu: the machine has processor counters. Errors: those of cprof_perf_event_name_list(). */
struct cprof_error *cprof_cmd_events(bool *ret_pmu);

#endif
