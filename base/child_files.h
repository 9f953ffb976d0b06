/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/child_files.h - what a child of ours that only reads files must not hold on to.
 *
 * A forked child has all our descriptors. As long as one of them is open the thing behind it stays: a BPF program's link keeps
 * breakpoints in a target, a socket its port, a pipe its reader waiting. Close-on-exec does not help where nothing is executed.
 */
#ifndef CPROF_BASE_CHILD_FILES_H
#define CPROF_BASE_CHILD_FILES_H

/* Closes all from 3 on but regular files and directories, and but `keep` (-1: none). For a child that has just been forked. */
void cprof_child_files_only(int keep);

#endif
