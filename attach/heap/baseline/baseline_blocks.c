/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_blocks.h"

#include <stdlib.h>

#include "base/array.h"

void cprof_baseline_blocks_deinit(struct cprof_baseline_blocks *blocks)
{
	for (uint32_t i = 0; i < blocks->n_pieces; i++)
		free(blocks->pieces[i]);
	free(blocks->pieces);
	cprof_map64_deinit(&blocks->by_address);
	*blocks = (struct cprof_baseline_blocks){ 0 };
}

static uint64_t *find(struct cprof_baseline_blocks *blocks, uint64_t addr)
{
	const uint64_t key = addr >> CPROF_BASELINE_PIECE_SHIFT;
	if (blocks->last_piece && blocks->last == key)
		return blocks->last_piece;
	const uint64_t *number = cprof_map64_get(&blocks->by_address, key);
	if (!number)
		return NULL;
	blocks->last = key;
	blocks->last_piece = blocks->pieces[*number - 1];
	return blocks->last_piece;
}

static uint64_t *make(struct cprof_baseline_blocks *blocks, uint64_t addr)
{
	const uint64_t key = addr >> CPROF_BASELINE_PIECE_SHIFT;
	if (!CPROF_ARRAY_ROOM(blocks->pieces, blocks->n_pieces, blocks->cap_pieces, 1))
		return NULL;
	uint64_t *piece = calloc(CPROF_BASELINE_PIECE_WORDS, sizeof(*piece));
	uint64_t *number = piece ? cprof_map64_put(&blocks->by_address, key, NULL) : NULL;
	if (!number) {
		free(piece);
		return NULL;
	}
	blocks->pieces[blocks->n_pieces++] = piece;
	*number = blocks->n_pieces;
	return find(blocks, addr);
}

static uint64_t *word_of(uint64_t *piece, uint64_t addr, uint64_t *ret_bit)
{
	const uint64_t at = (addr & ((1ull << CPROF_BASELINE_PIECE_SHIFT) - 1)) >> 4;
	*ret_bit = 1ull << (at & 63);
	return &piece[at >> 6];
}

struct cprof_error *cprof_baseline_blocks_put(struct cprof_baseline_blocks *blocks, uint64_t addr,
					      bool *ret_changed)
{
	uint64_t bit, *piece = find(blocks, addr);
	if (!piece && blocks->n_pieces >= CPROF_BASELINE_PIECES_MAX) {
		if (ret_changed)
			*ret_changed = true;
		return NULL;
	}
	if (!piece)
		piece = make(blocks, addr);
	if (!piece)
		return cprof_error_no_memory();
	uint64_t *word = word_of(piece, addr, &bit);
	if (ret_changed)
		*ret_changed = !(*word & bit);
	*word |= bit;
	return NULL;
}

bool cprof_baseline_blocks_take(struct cprof_baseline_blocks *blocks, uint64_t addr)
{
	uint64_t bit, *piece = find(blocks, addr);
	if (!piece)
		return false;
	uint64_t *word = word_of(piece, addr, &bit);
	const bool had = *word & bit;
	*word &= ~bit;
	return had;
}

bool cprof_baseline_blocks_has(struct cprof_baseline_blocks *blocks, uint64_t addr)
{
	uint64_t bit, *piece = find(blocks, addr);
	return piece && (*word_of(piece, addr, &bit) & bit);
}
