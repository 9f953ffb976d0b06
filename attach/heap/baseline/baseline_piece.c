/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_piece.h"

#include <string.h>

bool cprof_baseline_piece_next(struct cprof_baseline_memory *memory, uint64_t *at, uint64_t end,
			       struct cprof_baseline_piece *ret_piece)
{
	const uint64_t addr = cprof_baseline_memory_next(memory, *at, end);
	if (addr >= end)
		return false;
	const uint64_t page_end = (addr | (CPROF_BASELINE_PAGE - 1)) + 1;
	*at = page_end < end ? page_end : end;
	ret_piece->addr = addr;
	ret_piece->n = (size_t)(*at - addr) / 8;
	const uint8_t *bytes = cprof_baseline_memory_at(memory, addr, ret_piece->n * 8, end);
	if (bytes)
		memcpy(ret_piece->words, bytes, ret_piece->n * 8);
	else
		ret_piece->n = 0;
	return true;
}
