/* SPDX-License-Identifier: Apache-2.0 */
/* Relocating the first instructions of arbitrary bytes: refused or planned, never out of bounds. The first byte says which
 * arguments the stub wants to know. */
#include <stdlib.h>
#include <string.h>

#include "attach/heap/inject/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What stays before the jump is one instruction, and the trampoline begins with it; the jump leads to what undoes it. */
static void check_place(const struct cprof_patch *patch, uint64_t addr, uint64_t stub)
{
	const uint64_t stays = patch->addr - addr;
	int32_t distance;
	memcpy(&distance, patch->patched + 1, sizeof(distance));
	if (stays > 15 || stays >= patch->trampoline_len || (patch->at_entry && stays) ||
	    patch->addr + 5 + (uint64_t)(int64_t)distance != stub - patch->undo_len ||
	    patch->undo_len > sizeof(patch->undo) || (!stays && patch->undo_len))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint64_t addr = 0x7f0000001000, stub = 0x7f0000100000, trampoline = 0x7f0000100100;
	struct cprof_patch patch;
	if (!n)
		return 0;
	struct cprof_error *err = cprof_patch_plan(data + 1, n - 1, addr, stub, trampoline,
						   data[0] & 63, NULL, &patch);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	check_place(&patch, addr, stub);
	if (patch.displaced < CPROF_PATCH_JUMP || patch.trampoline_len > sizeof(patch.trampoline) ||
	    patch.n_instructions == 0 || patch.n_instructions > sizeof(patch.from))
		abort();
	for (uint64_t pc = addr; pc < patch.addr + patch.displaced; pc++) {
		uint64_t to = cprof_patch_move(&patch, trampoline, pc);
		if (to != pc && (pc <= patch.addr || to < trampoline ||
				 to >= trampoline + patch.trampoline_len))
			abort();
	}
	return 0;
}
