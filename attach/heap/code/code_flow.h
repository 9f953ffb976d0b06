/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/code/code_flow.h - the ways through one function: its instructions from the first to every exit.
 *
 * Branches are followed wherever in the object they lead (NAME.cold, shared ends, tail calls), calls are not. What is known
 * about the stack pointer is carried along. Bounded; what could not be followed is said, and then nothing may be concluded from
 * what is missing.
 */
#ifndef CPROF_ATTACH_HEAP_CODE_CODE_FLOW_H
#define CPROF_ATTACH_HEAP_CODE_CODE_FLOW_H

#include "attach/heap/code/code_object.h"

enum cprof_code_exit_kind {
	CPROF_CODE_EXIT_RET,
	CPROF_CODE_EXIT_JUMP, /* to another object, through a slot: a tail call */
};

struct cprof_code_exit {
	enum cprof_code_exit_kind kind;
	uint64_t addr;    /* file address of the ret or jmp, its prefixes included */
	const char *name; /* JUMP: of the function, NULL: not known */
	bool elsewhere; /* it lies outside of [start, end): NAME.cold, or a function that is tail-called and has callers of its own */
};

/* A call, or a jump into another object. */
struct cprof_code_call {
	uint64_t from;
	uint64_t to;      /* in this object; 0: elsewhere */
	const char *name; /* of what is elsewhere; NULL with to == 0: nobody knows */
};

struct cprof_code_flow {
	uint64_t start, end;           /* the function */
	struct cprof_code_exit *exits; /* owned; each address once, by address */
	size_t n_exits, cap_exits;
	struct cprof_code_call *calls; /* owned */
	size_t n_calls, cap_calls;
	/*
	 * NULL: every way was followed to its end, and `exits` are all there are. Else why not ("an indirect jump"), a
	 * constant, and where.
	 */
	const char *lost;
	uint64_t lost_at;
	/*
	 * Every way was followed to its end, so that `exits` are all there are, though `lost` may say that what was gone over is
	 * not described by anything: enough where nothing but the exits is of interest.
	 */
	bool followed;
	bool overlaps; /* it jumps into the middle of its own instructions, or of something that is none */
	/*
	 * NULL: the stack pointer only ever moves within the one stack and the return is to where the call came from. Else
	 * what it does that is more than that, a constant, and where.
	 */
	const char *stack_trick;
	uint64_t stack_trick_at;
	/* It reads its caller's stack above the return address, or that could not be excluded: arguments are passed there. */
	bool reads_stack_arguments;
	/*
	 * It looks at rax, r10, r11 or the flags as its caller left them, or that could not be excluded: it is variadic, a closure, or
	 * has a convention of its own.
	 */
	bool reads_scratch;
};

/*
 * Follow the function at file address `start`. Errors: UNSUPPORTED (nothing tells where it ends, or its bytes are not there),
 * NO_MEMORY.
 */
struct cprof_error *cprof_code_flow_find(struct cprof_code_object *object, uint64_t start,
					 struct cprof_code_flow *ret_flow);
void cprof_code_flow_deinit(struct cprof_code_flow *flow);

#endif
