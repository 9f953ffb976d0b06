/*
 * attach/patch.h - plan how a function's first instructions give way to a jump: pure, no process.
 *
 * Owns the relocation of the displaced instructions (x86-64, decoded by Zydis) and the refusals: what cannot be
 * moved safely is not touched. Writing the bytes and moving threads out of the way is install.h's.
 */
#ifndef CPROF_ATTACH_PATCH_H
#define CPROF_ATTACH_PATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/shim_proto.h"
#include "base/error.h"

#define CPROF_PATCH_JUMP   5  /* e9 rel32 */
#define CPROF_PATCH_WINDOW 32 /* bytes of the function that are needed to plan */

struct cprof_patch {
	uint64_t addr;                   /* where the jump goes: the entry, or behind its endbr64 */
	uint8_t displaced;               /* bytes of whole instructions that gave way, at least 5 */
	uint8_t original[8], patched[8]; /* the first CPROF_PATCH_JUMP bytes count */

	uint8_t hole
		[CPROF_SHIM_HOLE_BYTES]; /* for the trampoline: those instructions, then a jump back */
	uint8_t hole_len;

	/* Instruction i starts at addr + from[i] and is found again at hole + to[i]. */
	uint8_t n_instructions;
	uint8_t from[8], to[8];
};

/*
 * `code` holds the `n` bytes of the function at run-time `addr` (as much of it as is known, at least until its
 * end or CPROF_PATCH_WINDOW bytes); the jump will lead to `stub`, the trampoline will lie at `hole`.
 *
 * CPROF_ERR_UNSUPPORTED says why this function cannot be patched.
 */
struct cprof_error *cprof_patch_plan(const uint8_t *code, size_t n, uint64_t addr, uint64_t stub,
				     uint64_t hole, struct cprof_patch *ret_patch);

/*
 * Where a thread that stands at `pc` goes on once the patch is in place: inside the displaced instructions
 * that is in the trampoline, everywhere else `pc` itself.
 */
uint64_t cprof_patch_move(const struct cprof_patch *patch, uint64_t hole, uint64_t pc);

#endif
