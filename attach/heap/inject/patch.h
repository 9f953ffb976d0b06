/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/patch.h - plan how a function's first instructions give way to a jump: pure, no process.
 *
 * Owns where the jump goes, the relocation of the displaced instructions (x86-64, decoded by Zydis) and the refusals:
 * what cannot be moved safely is not touched. Writing the bytes and moving threads out of the way is heap_jump.h's.
 *
 * The jump goes behind the first instruction where that can be: then a function's first byte is never ours, and a uprobe
 * of somebody else's on it does no harm (patch_first.h says which instructions that is possible with).
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_PATCH_H
#define CPROF_ATTACH_HEAP_INJECT_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"
#include "cprof/error.h"

#define CPROF_PATCH_JUMP   5  /* e9 rel32 */
#define CPROF_PATCH_WINDOW 32 /* bytes of the function that are needed to plan */

struct cprof_patch {
	uint64_t addr; /* where the jump goes: behind the first instruction, or the entry */
	/*
	 * The function's first byte is changed: somebody else's uprobe on it would be fatal. Where the function begins with a
	 * jump like ours it is not: the kernel goes where that one led.
	 */
	bool at_entry;
	/* What the first instruction did is taken back by these, which lie just before the stub. */
	uint8_t undo_len;
	uint8_t undo[CPROF_SHIM_UNDO_BYTES];
	uint8_t displaced;               /* bytes of whole instructions that gave way, at least 5 */
	uint8_t original[8], patched[8]; /* the first CPROF_PATCH_JUMP bytes count */

	uint8_t trampoline
		[CPROF_SHIM_TRAMPOLINE_BYTES]; /* for the trampoline: the first and those instructions, then a jump back */
	uint8_t trampoline_len;

	/* Displaced instruction i starts at addr + from[i] and is found again at trampoline + to[i]. */
	uint8_t n_instructions;
	uint8_t from[8], to[8];
};

/* Who else comes to the function's first bytes, which its own code does not tell. */
struct cprof_patch_ways {
	/*
	 * May all bytes behind the first one and before `end` be changed or moved? NULL: yes, nobody comes to one of them.
	 * Else why not; borrowed until the next question.
	 */
	const char *(*why_not)(void *ctx, uint64_t end);
	void *ctx;
};

/*
 * `code` holds the `n` bytes of the function at run-time `addr` (as much of it as is known, at least until its
 * end or CPROF_PATCH_WINDOW bytes); the jump will lead to `stub`, or to what undoes the first instruction before it; the
 * trampoline will lie at `trampoline`. `arguments` are those that the stub wants to know (patch_first.h). `ways` is asked about
 * each way to do it; NULL: nothing but the function's own code is known.
 *
 * CPROF_ERR_UNSUPPORTED says why this function cannot be patched.
 */
struct cprof_error *cprof_patch_plan(const uint8_t *code, size_t n, uint64_t addr, uint64_t stub,
				     uint64_t trampoline, uint8_t arguments,
				     const struct cprof_patch_ways *ways,
				     struct cprof_patch *ret_patch);

/*
 * Where a thread that stands at `pc` goes on once the patch is in place: inside the displaced instructions
 * that is in the trampoline, everywhere else `pc` itself.
 */
uint64_t cprof_patch_move(const struct cprof_patch *patch, uint64_t trampoline, uint64_t pc);

#endif
