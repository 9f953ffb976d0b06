/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_rule.h - how to get from one frame to its caller, in the few bytes that a walk needs.
 *
 * Says what a row of call frame information says (cfi.h), or what was read off the code (unwind_code.h). Expressions are
 * named by number; who keeps rules keeps those, too (unwind_rules.h).
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_RULE_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_RULE_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/arch.h"

/* Where the caller's value of a register is. */
enum cprof_unwind_from {
	CPROF_FROM_CFA,   /* stored at CFA + offset */
	CPROF_FROM_BASE,  /* stored at register `base` + offset */
	CPROF_FROM_STORE, /* stored where expression number `offset` says */
	CPROF_IS_CFA,     /* is CFA + offset */
	CPROF_IS_BASE,    /* is register `base` + offset */
	CPROF_IS_EXPR,    /* is what expression number `offset` says */
	CPROF_IS_LOST,    /* known to be gone */
};

struct cprof_unwind_place {
	uint8_t reg; /* the register that is told about */
	uint8_t from;
	uint8_t base;
	uint8_t unused; /* 0: rules are compared as bytes */
	int32_t offset;
};

enum cprof_unwind_cfa {
	CPROF_CFA_REG,   /* register + offset */
	CPROF_CFA_DEREF, /* the word at register + offset (realigned frames, signal frames) */
	CPROF_CFA_AHEAD, /* register + offset, but behind the word at the stack pointer in any case */
	CPROF_CFA_PLT,   /* rsp + offset + 8 if (rip & 15) >= `add`: a lazy binding stub */
	CPROF_CFA_EXPR, /* expression number `offset` */
};

struct cprof_unwind_rule {
	uint8_t cfa; /* enum cprof_unwind_cfa */
	uint8_t cfa_reg;
	uint8_t n_places; /* registers other than the return address; what is not told about stays */
	bool guessed;     /* read off the code: there is no unwind information */
	bool root;        /* the return address is undefined: the outermost frame */
	bool signal;      /* the caller was interrupted at exactly its pc */
	bool ra_stays;    /* the return address is still in its register (AArch64 leaf) */
	bool doubted; /* told, but to be believed only where a call stands before the return address */
	bool generated; /* by the tables of what has made the code (unwind_java.h): a return address there needs no call before it */
	bool interpreted; /* its method is told by the frame, not by the code address */
	bool switches; /* to another stack: doubted, and to be believed only where this function itself was called there */
	uint8_t zeros[1]; /* in the place of padding: rules are compared as bytes */
	int32_t offset;
	int32_t add;
	struct cprof_unwind_place ra;
	struct cprof_unwind_place places[CPROF_ARCH_MAX_REGS];
};

#endif
