/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/ptrace_again.h - a system call that our stop ended with EINTR is made again, so that the program never sees it.
 *
 * The kernel restarts most calls that a stop interrupts. The others return EINTR, as they do for a signal with a handler; a
 * tracer sees that before the program does, and can ask for a restart in the kernel's own way (ERESTARTNOHAND): unless a
 * signal is handled first, which then ends the call with EINTR as ever. So nothing is decided here that a signal could change.
 *
 * Sources: ptrace(2) "Event stops"; Linux, arch_do_signal_or_restart(); stop_effect.h.
 */
#ifndef CPROF_ATTACH_TARGET_PTRACE_AGAIN_H
#define CPROF_ATTACH_TARGET_PTRACE_AGAIN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/user.h>

/*
 * Of a thread in an event stop of ours with these registers: ask for a restart if its call was one that may be made again.
 * False: nothing was changed.
 */
bool cprof_ptrace_again(pid_t tid, struct user_regs_struct *regs);

#endif
