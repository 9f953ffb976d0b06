/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_code.h - a rule for code without unwind information, found by reading the code.
 *
 * From the pc the instructions are followed to the function's return, and what they do to the stack pointer,
 * the frame pointer and the saved registers is the rule. That is a guess (a call that never returns may
 * hide where the function ends), so a frame found by it must hold up: its return address follows a call.
 *
 * Bounded by a number of instructions; code bytes are untrusted.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_CODE_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_CODE_H

#include "cprof/memory.h"
#include "symbolize/unwind/unwind_rule.h"

/*
 * The rule for a frame whose next instruction is at `pc` of `code`, the process; false where the code does not tell, which is
 * always so on CPUs other than x86-64 (AArch64 code keeps frame pointers).
 */
bool cprof_unwind_code_rule(const struct cprof_arch *arch, const struct cprof_memory *code,
			    uint64_t pc, struct cprof_unwind_rule *ret_rule);

/*
 * Is `pc` at the system call that ends a signal handler, as C libraries without unwind information have it?
 * Then the rule is the kernel's signal frame, which is no guess.
 */
bool cprof_unwind_code_sigreturn(const struct cprof_arch *arch, const struct cprof_memory *code,
				 uint64_t pc, struct cprof_unwind_rule *ret_rule);

#endif
