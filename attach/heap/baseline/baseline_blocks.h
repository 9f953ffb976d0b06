/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/baseline_blocks.h - a set of blocks by address: one bit for each 16 bytes of the memory they are in.
 *
 * For blocks that were in use at one moment, to be asked for at another. A gigabyte of heap costs 9 MiB, a large block by itself half a kilobyte.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_BASELINE_BLOCKS_H
#define CPROF_ATTACH_HEAP_BASELINE_BASELINE_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/error.h"
#include "cprof/hash.h"

#define CPROF_BASELINE_PIECE_SHIFT                                                                 \
	16 /* of address space that one piece of the set is for: 64 KiB */
#define CPROF_BASELINE_PIECES_MAX  (4u << 20) /* with 256 GiB of addresses, and 2 GiB of ours */
#define CPROF_BASELINE_PIECE_WORDS ((1u << (CPROF_BASELINE_PIECE_SHIFT - 4)) / 64)

struct cprof_baseline_blocks {
	uint64_t **pieces; /* owned, and each of them: CPROF_BASELINE_PIECE_WORDS words */
	uint32_t n_pieces, cap_pieces;
	struct cprof_map64 by_address; /* address >> PIECE_SHIFT -> piece + 1 */
	uint64_t last;                 /* the key asked last, and its piece; NULL: none yet */
	uint64_t *last_piece;
};

/* A zeroed struct is an empty set. */
void cprof_baseline_blocks_deinit(struct cprof_baseline_blocks *blocks);

/* The word with the bit of `addr` where it is in the piece asked last, else NULL: for what comes one behind the other. */
static inline uint64_t *cprof_baseline_blocks_near(const struct cprof_baseline_blocks *blocks,
						   uint64_t addr, uint64_t *ret_bit)
{
	const uint64_t at = (addr & ((1ull << CPROF_BASELINE_PIECE_SHIFT) - 1)) >> 4;
	*ret_bit = 1ull << (at & 63);
	return blocks->last_piece && blocks->last == addr >> CPROF_BASELINE_PIECE_SHIFT
		       ? &blocks->last_piece[at >> 6]
		       : NULL;
}

/*
 * Put the block at `addr` in, or take it out; *ret_changed (may be NULL): it was not there before, or was. Addresses are
 * told apart by 16 bytes. Errors: NO_MEMORY. A process may say that it has blocks all over its address space: what would
 * take more than CPROF_BASELINE_PIECES_MAX pieces is not remembered, and new each time.
 */
struct cprof_error *cprof_baseline_blocks_put(struct cprof_baseline_blocks *blocks, uint64_t addr,
					      bool *ret_changed);
bool cprof_baseline_blocks_take(struct cprof_baseline_blocks *blocks, uint64_t addr);

bool cprof_baseline_blocks_has(struct cprof_baseline_blocks *blocks, uint64_t addr);

#endif
