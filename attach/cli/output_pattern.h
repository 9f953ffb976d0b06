/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/cli/output_pattern.h - the mark in a file's name that stands for a process's id.
 */
#ifndef CPROF_ATTACH_CLI_OUTPUT_PATTERN_H
#define CPROF_ATTACH_CLI_OUTPUT_PATTERN_H

#include <stdbool.h>
#include <sys/types.h>

#define CPROF_OUTPUT_PATTERN_MARK "%p"

/* Whether `name` (NULL: none) has the mark. */
bool cprof_output_pattern_marked(const char *name);

/* `pattern` with `pid` for each mark; malloc'd, NULL: no memory. */
char *cprof_output_pattern_fill(const char *pattern, pid_t pid);

#endif
