/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/target/thread_regs.h - a thread's user registers, from the forms the kernel hands them out in.
 *
 * The kernel has one layout per CPU for them, the start of which is the same in struct pt_regs (read by a BPF
 * iterator), in what PTRACE_GETREGSET fills and in the pr_reg of a core file. Owns the way from that to DWARF
 * numbers and to "which system call, with which arguments".
 *
 * Source of truth: asm/ptrace.h and sys/user.h of each CPU; syscall(2) "Architecture calling conventions".
 */
#ifndef CPROF_ATTACH_TARGET_THREAD_REGS_H
#define CPROF_ATTACH_TARGET_THREAD_REGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/target/thread_proc.h"
#include "cprof/arch.h"

#if defined(__x86_64__)
#define CPROF_THREAD_REGS_WORDS 21
#elif defined(__aarch64__)
#define CPROF_THREAD_REGS_WORDS 34
#else
#error "no register layout for this CPU: see attach/target/thread_regs.c"
#endif

/* Every register is known. `words` are CPROF_THREAD_REGS_WORDS numbers as the kernel lays them out. */
void cprof_thread_regs_from_kernel(const uint64_t *words, struct cprof_regs *ret_regs);

/* The system call a sleeping thread with these registers is in; OUTSIDE where it is in none. */
void cprof_thread_regs_call(const uint64_t *words, struct cprof_thread_call *ret_call);

/*
 * What /proc/PID/task/TID/syscall tells: pc, sp and the argument registers. The callee-saved ones stay
 * unknown, and with them every frame that is found through a frame pointer nobody has saved since.
 */
void cprof_thread_regs_from_call(const struct cprof_thread_call *call, struct cprof_regs *ret_regs);

#endif
