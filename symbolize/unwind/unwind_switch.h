/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_switch.h - code that called a function on another stack, and how it comes back to its own.
 *
 * Go calls C on its thread's stack (asmcgocall) and keeps there the goroutine and how deep that one's stack is. No unwind
 * information tells, and what Go's says is of the goroutine's stack; but the instructions behind the call do tell, in
 * programs without symbols as well.
 *
 * Source of truth: the Go distribution, src/runtime/asm_amd64.s (asmcgocall; the same from Go 1.16 to 1.26 but for the
 * numbers). x86-64 only. Code bytes are untrusted: what is found this way must hold as a guess must.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_SWITCH_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_SWITCH_H

#include "cprof/memory.h"
#include "symbolize/unwind/unwind_rule.h"

#define CPROF_SWITCH_EXPR_MAX 16

struct cprof_unwind_switch {
	uint8_t expr[CPROF_SWITCH_EXPR_MAX]; /* the CFA, as DWARF expressions are written */
	uint8_t n;
};

/*
 * Is `pc` the return address of such a call? Then `ret_rule` is the rule of the frame that called, but for the number of the
 * expression, its `offset`.
 */
bool cprof_unwind_switch_rule(const struct cprof_arch *arch, const struct cprof_memory *code,
			      uint64_t pc, struct cprof_unwind_switch *ret_switch,
			      struct cprof_unwind_rule *ret_rule);

#endif
