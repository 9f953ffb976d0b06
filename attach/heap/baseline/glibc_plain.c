/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/glibc_plain.h"

#define BATCH 256u /* blocks that are put into the account at once */

struct batch {
	struct cprof_baseline_block blocks[BATCH];
	size_t n;
};

static bool is_plain(const struct cprof_glibc_bounds *bounds, const struct cprof_glibc_chunk *chunk)
{
	const unsigned wrong =
		CPROF_GLIBC_MAPPED | (bounds->main ? (unsigned)CPROF_GLIBC_OTHER_ARENA : 0);
	return chunk->size - CPROF_GLIBC_SMALLEST < CPROF_GLIBC_LARGE - CPROF_GLIBC_SMALLEST &&
	       !(chunk->size % CPROF_GLIBC_ALIGN) && !(chunk->flags & wrong) &&
	       chunk->addr != bounds->top && chunk->size < bounds->end - chunk->addr &&
	       chunk->addr - bounds->least < bounds->most - bounds->least;
}

/* False: its row is not known yet, or it is large, or may be a thread's cache. */
static bool put(struct cprof_glibc_rows *rows, const struct cprof_glibc_chunk *chunk,
		struct batch *batch)
{
	const uint64_t usable = cprof_glibc_usable(chunk->size, false);
	const uint32_t row = cprof_glibc_rows_known(rows, usable, chunk->word);
	if (!row || chunk->size >= CPROF_GLIBC_LARGE || cprof_glibc_is_cache_size(chunk->size))
		return false;
	batch->blocks[batch->n++] = (struct cprof_baseline_block){ chunk->addr + CPROF_GLIBC_HEADER,
								   (uint32_t)usable, row - 1 };
	return true;
}

static void drop(const struct cprof_glibc_chunk *chunk, const struct cprof_glibc_chunk *next,
		 struct cprof_glibc_plain *plain)
{
	plain->free++;
	plain->free_bytes += chunk->size;
	plain->conflicts += next->prev_size != chunk->size;
}

/* As far as a batch has room; true: there is more. */
static bool fill(struct cprof_glibc_rows *rows, const struct cprof_glibc_bounds *bounds,
		 const uint8_t *bytes, size_t n, struct cprof_glibc_way *way, struct batch *batch,
		 struct cprof_glibc_plain *plain)
{
	const struct cprof_glibc_bounds within = *bounds; /* which nobody writes to meanwhile */
	struct cprof_glibc_chunk chunk = way->chunk, next;
	uint64_t at = way->at;
	const uint64_t stop = at + n - CPROF_GLIBC_LOOK;
	while (at <= stop && batch->n < BATCH) {
		cprof_glibc_chunk_take(&next, at, bytes + (at - way->at), CPROF_GLIBC_LOOK);
		if (!is_plain(&within, &next))
			break;
		if (!(next.flags & CPROF_GLIBC_PREV_IN_USE) && chunk.size < CPROF_GLIBC_LARGE)
			drop(&chunk, &next, plain);
		else if (!put(rows, &chunk, batch))
			break;
		chunk = next;
		at += next.size;
	}
	way->chunk = chunk;
	way->at = at;
	return batch->n == BATCH;
}

struct cprof_error *cprof_glibc_plain_go(struct cprof_glibc_rows *rows,
					 const struct cprof_glibc_bounds *bounds,
					 const uint8_t *bytes, size_t n,
					 struct cprof_glibc_way *way,
					 struct cprof_glibc_plain *ret_plain)
{
	struct cprof_error *err = NULL;
	const uint64_t from = way->at;
	struct batch batch;
	bool more = way->chunk.size > 0;
	*ret_plain = (struct cprof_glibc_plain){ 0 };
	while (more && !err && way->at - from + CPROF_GLIBC_LOOK <= n) {
		const size_t done = (size_t)(way->at - from);
		batch.n = 0;
		more = fill(rows, bounds, bytes + done, n - done, way, &batch, ret_plain);
		ret_plain->own_bytes += batch.n * (CPROF_GLIBC_HEADER / 2);
		err = cprof_baseline_account_blocks(rows->account, batch.blocks, batch.n);
	}
	return err;
}
