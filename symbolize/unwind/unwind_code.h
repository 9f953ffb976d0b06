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

#include <Zydis/Zydis.h>

#include "cprof/memory.h"
#include "symbolize/unwind/unwind_rule.h"

/*
 * The rule for a frame whose next instruction is at `pc` of `code`, the process; false where the code does not tell, which is
 * always so on CPUs other than x86-64 (AArch64 code keeps frame pointers). `pieces`: it is one of the pieces that a Java machine is made
 * of, which go to each other by jumps through registers and pointers, with the return address on top of the stack.
 */
bool cprof_unwind_code_rule(const struct cprof_arch *arch, const struct cprof_memory *code,
			    uint64_t pc, bool pieces, struct cprof_unwind_rule *ret_rule);

/* The DWARF number of a general purpose register of x86-64, whatever part of it is meant; -1: it is another one. */
int cprof_unwind_code_reg(ZydisRegister reg);

/*
 * Is `pc` at the system call that ends a signal handler, as C libraries without unwind information have it?
 * Then the rule is the kernel's signal frame, which is no guess.
 */
bool cprof_unwind_code_sigreturn(const struct cprof_arch *arch, const struct cprof_memory *code,
				 uint64_t pc, struct cprof_unwind_rule *ret_rule);

#endif
