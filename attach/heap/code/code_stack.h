/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_stack.h - what is known about the stack pointer at a place in a function, and what an instruction does to it.
 *
 * Pure. Depths are counted from the entry, where the stack pointer points to the return address: rsp = entry - depth. Where a
 * stack is aligned or a piece of variable size is taken from it, the depth is the least it can be.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_STACK_H
#define CPROF_ATTACH_HEAP_CODE_CODE_STACK_H

#include <Zydis/Zydis.h>
#include <stdbool.h>
#include <stdint.h>

struct cprof_code_stack {
	int32_t depth;
	bool exact; /* else it may be deeper */
	/* rbp = entry - frame, where it is known; then `frame_exact` as for the depth. */
	bool has_frame, frame_exact;
	int32_t frame;
	bool has_number; /* rax is `number`: for system calls */
	uint32_t number;
	uint8_t written; /* CPROF_CODE_RAX and so on: what holds a value of the function's own on every way */
};

/* What an ordinary caller passes nothing in, but a closure or a variadic call does. */
enum {
	CPROF_CODE_RAX = 1,
	CPROF_CODE_R10 = 2,
	CPROF_CODE_R11 = 4,
	CPROF_CODE_FLAGS = 8,
};

/* What an instruction did that a function which only returns to its caller has no need of. */
struct cprof_code_stack_effect {
	const char *trick; /* a constant; NULL: nothing of the kind */
	bool reads_arguments; /* it reads, or may read, what its caller left above the return address */
	uint8_t reads;        /* CPROF_CODE_RAX and so on: what it reads as its caller left it */
};

/* At a function's first instruction. */
extern const struct cprof_code_stack cprof_code_stack_entry;

/* Go over `insn`; calls count as if they came back. */
struct cprof_code_stack_effect cprof_code_stack_step(struct cprof_code_stack *stack,
						     const ZydisDecodedInstruction *insn,
						     const ZydisDecodedOperand *operands);

/* A function may be left here: all that it pushed is gone, and the return address is the caller's. */
static inline bool cprof_code_stack_is_level(const struct cprof_code_stack *stack)
{
	return stack->exact && stack->depth == 0;
}

/* Make `stack` true for the ways on which `other` holds too. False: it was already. */
bool cprof_code_stack_join(struct cprof_code_stack *stack, const struct cprof_code_stack *other);

#endif
