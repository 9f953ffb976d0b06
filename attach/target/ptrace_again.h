/*
 * attach/target/ptrace_again.h - a system call that our stop ended with EINTR is made again, so that the program never sees it.
 *
 * The kernel restarts most calls that a stop interrupts, and leaves it to a tracer to do that for the others: the thread is
 * put back on its system call instruction. Not if a signal is about to be handled, for which the program may want that EINTR.
 *
 * Sources: ptrace(2) "Event stops"; stop_effect.h.
 */
#ifndef CPROF_ATTACH_TARGET_PTRACE_AGAIN_H
#define CPROF_ATTACH_TARGET_PTRACE_AGAIN_H

#include <stdbool.h>
#include <sys/types.h>
#include <sys/user.h>

/*
 * Of a thread in an event stop of ours with these registers: set them back, in the thread too, if its call was one that may
 * be made again. False: nothing was changed.
 */
bool cprof_ptrace_again(pid_t pid, pid_t tid, struct user_regs_struct *regs);

#endif
