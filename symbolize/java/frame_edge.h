/* SPDX-License-Identifier: Apache-2.0 */
/*
 * symbolize/java/frame_edge.h - how much of its frame a piece of compiled Java code has where it was interrupted.
 *
 * HotSpot's compilers make a method's frame by one of a few sequences of instructions and take it away by one of a few more; between
 * them the frame has the size that the code cache tells. Only the innermost frame can be at such an edge.
 *
 * Source of truth: OpenJDK, src/hotspot/cpu/x86: C2_MacroAssembler::verified_entry, C1_MacroAssembler::build_frame, the epilogue
 * in x86_64.ad, MacroAssembler::safepoint_poll (JDK 11 to 25). x86-64 only. Code bytes are untrusted.
 */
#ifndef CPROF_SYMBOLIZE_JAVA_FRAME_EDGE_H
#define CPROF_SYMBOLIZE_JAVA_FRAME_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of code wanted before the address, fewer at the start of the code; behind it 24 are enough. */
#define CPROF_EDGE_BEFORE 64

enum cprof_frame_edge {
	CPROF_EDGE_WHOLE,   /* inside: the whole frame is there */
	CPROF_EDGE_UNSAVED, /* whole, but the caller's frame pointer is still in its register */
	CPROF_EDGE_POINTER, /* the caller's frame pointer is on top of the stack, the return address behind it */
	CPROF_EDGE_RETURN, /* the return address is on top of the stack */
};

/*
 * `code` has `n` bytes, of which number `at` is the next instruction's first. `complete`: that address is one from which on the
 * frame is whole, by what the code cache says.
 */
enum cprof_frame_edge cprof_frame_edge(const uint8_t *code, size_t n, size_t at, bool complete);

#endif
