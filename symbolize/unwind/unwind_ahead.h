/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/unwind/unwind_ahead.h - what the instructions ahead say of a frame of Java's generated code that is not as large as its piece
 * of code says, or has no size at all: in adapters, at both ends of the interpreter's frames, and where compiled code has saved registers.
 *
 * The code is read in the order in which it stands, some dozen instructions up to where it leaves; the registers that HotSpot uses there are
 * known: r13 holds the sender's stack pointer.
 *
 * Source of truth: OpenJDK, src/hotspot/cpu/x86: SharedRuntime's gen_i2c_adapter, gen_c2i_adapter and patch_callers_callsite,
 * TemplateInterpreterGenerator (generate_fixed_frame, generate_math_entry), MacroAssembler::remove_activation, the slow paths of
 * C1's type checks and of the collectors' barriers (JDK 11 to 25). x86-64 only. Code bytes are untrusted.
 */
#ifndef CPROF_SYMBOLIZE_UNWIND_UNWIND_AHEAD_H
#define CPROF_SYMBOLIZE_UNWIND_UNWIND_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolize/unwind/unwind_rule.h"

#define CPROF_AHEAD_BYTES                                                                          \
	1280 /* of code wanted from the address on, fewer where it ends; the largest adapters have as many */

/* Where the caller's frame begins, and the return address is. */
struct cprof_ahead {
	uint8_t cfa_reg;
	int32_t cfa_offset;
	struct cprof_unwind_place ra; /* its register is not set */
	bool has_fp; /* the caller's frame pointer is where this frame's points to; else it is still in its register */
};

/* An adapter between compiled and interpreted code, whose next instruction is the first of `code`; false: the code does not tell. */
bool cprof_ahead_adapter(const uint8_t *code, size_t n, struct cprof_ahead *ret_ahead);

/*
 * The interpreter, where its frame is not there: not yet, not any more, or never. False: it is there. `at` is the number of the next
 * instruction's first byte. `is_return`: it is a return address, where only the last of these can be.
 */
bool cprof_ahead_interpreter(const uint8_t *code, size_t n, size_t at, bool is_return,
			     struct cprof_ahead *ret_ahead);

/* How many bytes compiled code has pushed beyond its frame of `frame_bytes`: those that it takes away again ahead. */
int32_t cprof_ahead_pushed(const uint8_t *code, size_t n, int32_t frame_bytes);

#endif
