/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/program_head.h - the first bytes of the program that a process runs: its ELF header.
 *
 * From the file; and where that may not be read (a user's FUSE or NFS mount says no to root, too) from the process's memory,
 * in which the kernel has mapped it. Source of truth: proc(5) "/proc/pid/exe", process_vm_readv(2).
 */
#ifndef CPROF_ATTACH_TARGET_PROGRAM_HEAD_H
#define CPROF_ATTACH_TARGET_PROGRAM_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * `n` bytes of what thread `tid` runs. 0, or an errno: EACCES and EPERM where the process may not be looked into, ESRCH where
 * it is gone, ENOEXEC where there are not so many. Does not stop it.
 */
int cprof_program_head_read(pid_t tid, void *head, size_t n);

#endif
