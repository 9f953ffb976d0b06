/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_switch.h - code that called a function on another stack, and how it comes back to its own.
 *
 * Go calls C on its thread's stack (asmcgocall) and keeps there the goroutine and how deep that one's stack is. No unwind
 * information tells, and what Go's says is of the goroutine's stack; but the instructions behind the call do tell, in
 * programs without symbols as well.
 *
 * Go asks the kernel's page for the time on the scheduler's stack too, and keeps its own stack pointer in r12 meanwhile (nanotime1,
 * time.now), a register that C gives back as it was.
 *
 * The other way round, Go that C calls is on a goroutine's stack, and comes back to C's by the frame pointer (cgocallback).
 *
 * Source of truth: the Go distribution, src/runtime/asm_amd64.s (asmcgocall, cgocallback; the same from Go 1.16 to 1.26 but for the
 * numbers). x86-64 only. Code bytes are untrusted: what is found this way must hold as a guess must.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_SWITCH_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_SWITCH_H

#include "cprof/memory.h"
#include "symbolize/unwind/unwind_rule.h"

#define CPROF_SWITCH_EXPR_MAX 16
#define CPROF_SWITCH_CODE_MAX 48 /* bytes behind such a call that are looked at */

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

/*
 * Is `pc` the return address of a call during which r12 is the stack pointer to come back to? Then `ret_rule` is the rule of the
 * frame that called, whole.
 */
bool cprof_unwind_switch_kept_rule(const struct cprof_arch *arch, const struct cprof_memory *code,
				   uint64_t pc, struct cprof_unwind_rule *ret_rule);

/*
 * Is `pc` the return address of a call that does not return, made where a stack begins: Go's mcall, which has left a goroutine's stack for
 * the scheduler's and never comes back, or clone, whose thread ends when its function does? What lies above there is of no call.
 */
bool cprof_unwind_switch_is_root(const struct cprof_arch *arch, const struct cprof_memory *code,
				 uint64_t pc);

/*
 * A call out of a goroutine's stack. During it the thread's stack has at `ret_at`, where the call left its return address, +
 * `owner` the goroutine and + `depth` how deep its own stack is; at that goroutine + `high` is the word where its stack ends. What
 * the thread runs is kept at its thread pointer + `own`, or + the word at address `own` where `own_in_memory`.
 */
struct cprof_switch_site {
	uint64_t ret; /* the call's return address */
	uint8_t owner, depth, high;
	bool own_in_memory;
	uint64_t own;
};

/*
 * Such calls in `n` bytes of code that run at `addr`, each with CPROF_SWITCH_CODE_MAX bytes behind it, at most `max`. Returns how
 * many are written. x86-64 code only.
 */
size_t cprof_unwind_switch_sites(const uint8_t *code, size_t n, uint64_t addr,
				 struct cprof_switch_site *sites, size_t max);

#endif
