/* SPDX-License-Identifier: Apache-2.0 */
#include "symbolize/unwind/unwind_impl.h"

#define ARGUMENTS_WITHIN    512u /* the frames of _start and what it calls, at most */
#define ARGUMENTS_MAX       100000u
#define ARGUMENTS_BYTES_MAX (16u << 20)

bool cprof_walk_holds(struct cprof_walk *w, const struct cprof_walk_caller *caller)
{
	const struct cprof_unwind_rule *rule;
	bool after_call;
	if (caller->is_root)
		return true;
	if (!cprof_walk_rule(w, (struct cprof_code_addr){ caller->pc, true }, &rule, &after_call))
		return false;
	return after_call || (rule && (rule->signal || rule->generated)) ||
	       (cprof_walk_rule(w, (struct cprof_code_addr){ caller->pc, false }, &rule,
				&after_call) &&
		rule && rule->signal);
}

#define NEAR_CALL 5 /* call rel32 */
#define SWITCH_CODE_MAX                                                                            \
	256u /* of a function that goes to another stack: asmcgocall has 180 bytes */

bool cprof_walk_called_this(struct cprof_walk *w, const struct cprof_walk_caller *caller)
{
	uint8_t code[NEAR_CALL];
	int32_t distance;
	if (!cprof_walk_code(w, caller->pc - sizeof(code), code, sizeof(code)) || code[0] != 0xe8)
		return false;
	memcpy(&distance, code + 1, sizeof(distance));
	const uint64_t called = caller->pc + (uint64_t)(int64_t)distance;
	return called < w->frame.code.addr && w->frame.code.addr - called < SWITCH_CODE_MAX;
}

/* A caller whose pc and sp are these, if the pc can be a return address. */
static bool accept(struct cprof_walk *w, uint64_t ra_slot, uint64_t ra, uint64_t sp,
		   struct cprof_walk_caller *caller)
{
	caller->pc = ra & w->unwinder->arch->code_addr_mask;
	caller->sp = sp;
	caller->ra_slot = ra_slot;
	return cprof_walk_holds(w, caller);
}

/*
 * Interpreters written at run time (HotSpot's) push the address of their return stub themselves, so that no call stands
 * before it. Between two pieces of generated code a frame pointer that leads outwards is believed without.
 */
static bool within_generated(struct cprof_walk *w, uint64_t ra, uint64_t fp, uint64_t caller_fp)
{
	struct cprof_module *module;
	return w->module && w->module->kind == CPROF_MODULE_ANONYMOUS && caller_fp > fp &&
	       cprof_walk_map(w, ra - 1, &module) && module &&
	       module->kind == CPROF_MODULE_ANONYMOUS;
}

static bool in_code(struct cprof_walk *w, uint64_t addr)
{
	struct cprof_module *module;
	return cprof_walk_map(w, addr, &module);
}

/* HotSpot's stub at a method's entry keeps a word of its own between the frame pointer and the return address. */
static bool behind_a_word(struct cprof_walk *w, uint64_t fp, struct cprof_walk_caller *caller)
{
	uint64_t ra;
	if (!w->module || w->module->kind != CPROF_MODULE_ANONYMOUS || !w->frame.code.is_return)
		return false;
	if (cprof_walk_word(w, fp + 16, &ra) && within_generated(w, ra, fp, UINT64_MAX) &&
	    accept(w, fp + 16, ra, fp + 24, caller))
		return true;
	w->failed = false;
	return false;
}

/* {caller's frame pointer, return address} stand at the frame pointer, on both of our CPUs. */
static bool by_frame_pointer(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	const struct cprof_arch *arch = w->unwinder->arch;
	uint64_t fp = w->regs.r[arch->fp], sp = w->regs.r[arch->sp], caller_fp, ra;
	if (!(w->regs.valid >> arch->fp & 1))
		return false;
	/* The psABI: the outermost frame has a frame pointer of zero. */
	if (fp == 0) {
		caller->is_root = w->frame.code.is_return;
		return caller->is_root;
	}
	if (fp % 8 != 0 || fp < sp)
		return false;
	if (!cprof_walk_word(w, fp, &caller_fp) || !cprof_walk_word(w, fp + 8, &ra))
		return false;
	/* In a leaf the frame that ends so may be its caller's. */
	if (ra == 0) {
		caller->is_root = w->frame.code.is_return;
		return caller->is_root;
	}
	/* The outermost function was called by nobody (Go's goroutines return to the middle of goexit). */
	if (!accept(w, fp + 8, ra, fp + 16, caller) && !within_generated(w, ra, fp, caller_fp) &&
	    !(caller_fp == 0 && in_code(w, caller->pc)) && !behind_a_word(w, fp, caller))
		return false;
	cprof_walk_caller_set(caller, arch->fp, caller_fp);
	return true;
}

/* A function that has stored nothing yet, or nothing any more: only where it was interrupted. */
static bool by_stack_pointer(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	const struct cprof_arch *arch = w->unwinder->arch;
	uint64_t sp = w->regs.r[arch->sp], ra;
	if (w->frame.code.is_return)
		return false;
	if (arch->ra_in_register)
		return (w->regs.valid >> arch->ra & 1) &&
		       accept(w, 0, w->regs.r[arch->ra], sp, caller);
	return cprof_walk_word(w, sp, &ra) && accept(w, sp, ra, sp + 8, caller);
}

/*
 * Start code of C libraries without unwind information calls main and never returns; what the code does
 * to the stack cannot be told. But between it and the program's arguments, which the kernel has put at the
 * outer end of the stack, there is nothing more.
 */
static bool before_arguments(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	uint64_t sp = w->regs.r[w->unwinder->arch->sp], argc, argv0, end;
	const struct cprof_unwind_rule *rule;
	bool after_call;
	if (!w->frame.code.is_return || sp % 8 != 0)
		return false;
	/* Not start code: a frame with a rule that wants a register we do not have (/proc tells sp and pc only). */
	if (cprof_walk_rule(w, w->frame.code, &rule, &after_call) && rule)
		return false;
	for (uint64_t at = sp; at < sp + ARGUMENTS_WITHIN; at += 8) {
		if (!cprof_walk_word(w, at, &argc))
			return false;
		if (argc == 0 || argc > ARGUMENTS_MAX)
			continue;
		if (cprof_walk_word(w, at + 8, &argv0) && argv0 > at + 8 * argc &&
		    argv0 - at < ARGUMENTS_BYTES_MAX &&
		    cprof_walk_word(w, at + 8 * (argc + 1), &end) && end == 0) {
			caller->is_root = true;
			return true;
		}
		w->failed = false;
	}
	return false;
}

bool cprof_walk_guess(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	cprof_walk_caller_init(caller, CPROF_FRAME_GUESS);
	if (by_frame_pointer(w, caller) || by_stack_pointer(w, caller))
		return true;
	if (w->failed)
		return false;
	cprof_walk_caller_init(caller, CPROF_FRAME_GUESS);
	return before_arguments(w, caller);
}
