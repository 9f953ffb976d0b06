/* Relocating the first instructions of arbitrary bytes: refused or planned, never out of bounds. */
#include <stdlib.h>
#include <string.h>

#include "attach/patch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	const uint64_t addr = 0x7f0000001000, stub = 0x7f0000100000, hole = 0x7f0000100100;
	struct cprof_patch patch;
	struct cprof_error *err = cprof_patch_plan(data, n, addr, stub, hole, &patch);
	if (err) {
		cprof_error_free(err);
		return 0;
	}
	if (patch.displaced < CPROF_PATCH_JUMP || patch.hole_len > sizeof(patch.hole) ||
	    patch.n_instructions == 0 || patch.n_instructions > sizeof(patch.from))
		abort();
	for (uint64_t pc = patch.addr; pc < patch.addr + patch.displaced; pc++) {
		uint64_t to = cprof_patch_move(&patch, hole, pc);
		if (to != pc && (to < hole || to >= hole + patch.hole_len))
			abort();
	}
	return 0;
}
