#include "symbolize/unwind_walk.h"

#include <gelf.h>

/* A caller whose pc and sp are these, if the pc can be a return address. */
static bool accept(struct cprof_walk *w, uint64_t ra_slot, uint64_t ra, uint64_t sp,
		   struct cprof_walk_caller *caller)
{
	ra &= w->unwinder->arch->code_addr_mask;
	if (!cprof_walk_is_after_call(w, ra))
		return false;
	caller->how = CPROF_FRAME_GUESS;
	caller->regs.pc = ra;
	caller->regs.r[w->unwinder->arch->sp] = sp;
	caller->ra_slot = ra_slot;
	return true;
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
		caller->is_root = w->stack->len > 1;
		return caller->is_root;
	}
	if (fp % 8 != 0 || fp < sp)
		return false;
	if (!cprof_walk_word(w, fp, &caller_fp) || !cprof_walk_word(w, fp + 8, &ra))
		return false;
	if (ra == 0) {
		caller->is_root = true;
		return true;
	}
	if (!accept(w, fp + 8, ra, fp + 16, caller))
		return false;
	caller->regs.r[arch->fp] = caller_fp;
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

bool cprof_walk_guess(struct cprof_walk *w, struct cprof_walk_caller *caller)
{
	*caller = (struct cprof_walk_caller){ .regs = w->regs };
	return by_frame_pointer(w, caller) || by_stack_pointer(w, caller);
}
