/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/ptrace_denied.h - why PTRACE_SEIZE said no, and what would help.
 *
 * Source of truth: ptrace(2) "Ptrace access mode checking" and "/proc/sys/kernel/yama/ptrace_scope".
 */
#ifndef CPROF_ATTACH_TARGET_PTRACE_DENIED_H
#define CPROF_ATTACH_TARGET_PTRACE_DENIED_H

#include <sys/types.h>

#include "cprof/error.h"

/* Of thread `tid` of `pid`: another tracer, which is named, or `os_errno` with a hint. Never NULL. */
struct cprof_error *cprof_ptrace_denied(pid_t pid, pid_t tid, int os_errno);

/* Who traces the thread; 0: nobody. */
pid_t cprof_ptrace_tracer(pid_t pid, pid_t tid);

/* The hint for what /proc/sys/kernel/yama/ptrace_scope holds; -1: there is no Yama. */
const char *cprof_ptrace_denied_hint(int yama_scope);

#endif
