/* SPDX-License-Identifier: Apache-2.0 */
/*
 * convert/output/flame_data.h - a report as the JSON that the flame graph's page draws (assets/flame/data.mjs reads it).
 *
 *   title, labels       what the profile is, for people
 *   types, type         name, unit and total of each kind of value; which one is shown first
 *   ratio, diff         what values are multiplied with; whether each type has two columns, what is new and what is old
 *   modules, files      files of programs and libraries; of sources
 *   functions           columns: name, module (in modules, -1: unknown), file (in files, -1: unknown, or in the name already), line
 *                       (in that file, 0: unknown), inlined (1: never anything else), and by column of values flat and cum
 *                       over the whole profile, which are the numbers of the text reports; guessed lists those that some stack
 *                       has by a guess (convert/profile/guessed.h)
 *   unlisted            how many functions there was no room for
 *   others              their names where those have room, sorted: same, how many bytes of the name before, and rest; or null
 *   trees               by: "" for all stacks, or a label's key; groups: its values; and in pre-order, for each node,
 *                       up: how many levels above its predecessor's child it stands;
 *                       frame: a function, behind those a group, or -N for N narrow siblings joined (graph/pruned_tree.h);
 *                       self: by column of values. What a node is wide is the sum over what stands below it.
 *
 * It has at most CPROF_FLAME_DATA_BYTES for any profile.
 */
#ifndef CPROF_CONVERT_OUTPUT_FLAME_DATA_H
#define CPROF_CONVERT_OUTPUT_FLAME_DATA_H

#include <stdio.h>

#include "convert/report/report.h"
#include "cprof/error.h"

#define CPROF_FLAME_DATA_BYTES 900000u

/* The report's format has to have CPROF_FORMAT_ALL_TYPES and CPROF_FORMAT_PLACES. Errors of `out` are left to the caller's ferror(). */
struct cprof_error *cprof_flame_data_write(const struct cprof_report *report, FILE *out);

#endif
