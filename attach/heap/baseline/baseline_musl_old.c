/* SPDX-License-Identifier: Apache-2.0 */
/*
 * musl's older malloc (oldmalloc), in its library or linked into a static program: each chunk of its areas, and its large blocks
 * (musl_chunks.h). What musl took of the pages of programs and libraries when they were loaded is not looked for.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/baseline_teller.h"
#include "attach/heap/baseline/musl_chunks.h"

#define RINGS_BYTES 1544 /* no smaller segment has the rings */
#define SMALL       1040 /* usable bytes: each size by itself up to here */
#define BUDGET      ((uint64_t)16 << 20)

static bool find_in(void *ctx, uint64_t start, uint64_t end)
{
	return cprof_musl_rings_find(ctx, start, end);
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	bool found;
	struct cprof_error *err = cprof_baseline_each_data(
		target->maps, target->modules, RINGS_BYTES, find_in, target->memory, &found);
	if (err || !found)
		return err;
	*ret_place = malloc(1); /* there is no more to know than that it is there */
	return *ret_place ? NULL : cprof_error_no_memory();
}

static struct cprof_error *take_block(struct cprof_baseline_teller *teller, uint64_t addr,
				      uint64_t bytes, uint64_t absent)
{
	uint32_t row;
	struct cprof_error *err =
		bytes <= SMALL ? cprof_baseline_teller_row(teller, bytes, NULL, bytes, bytes, &row)
			       : cprof_baseline_teller_large_row(teller, bytes, &row);
	return err ? err : cprof_baseline_teller_block(teller, row, addr, bytes, absent);
}

static struct cprof_error *on_chunk(void *ctx, const struct cprof_musl_chunk *chunk)
{
	struct cprof_baseline_teller *teller = ctx;
	struct cprof_baseline_totals *totals = cprof_baseline_teller_totals(teller);
	const uint64_t end = chunk->addr + chunk->bytes;
	switch (chunk->kind) {
	case CPROF_MUSL_USED: {
		const uint64_t first =
			chunk->addr + (chunk->mapped ? CPROF_MUSL_OLD_UNIT : CPROF_MUSL_OLD_HEADER);
		cprof_baseline_teller_part(teller, CPROF_BASELINE_OWN, 0, first - chunk->addr, 0);
		return take_block(teller, first, end - first,
				  cprof_baseline_teller_absent(teller, first, end));
	}
	case CPROF_MUSL_FREE:
		cprof_baseline_teller_place(teller, CPROF_BASELINE_FREE, 1, chunk->addr, end);
		return NULL;
	case CPROF_MUSL_ENDS:
		cprof_baseline_teller_place(teller, CPROF_BASELINE_OWN, 0, chunk->addr, end);
		return NULL;
	case CPROF_MUSL_BROKEN:
		break;
	}
	totals->resyncs++;
	totals->error_objects++;
	totals->error_bytes += chunk->bytes;
	cprof_baseline_teller_place(teller, CPROF_BASELINE_UNTOLD, 1, chunk->addr, end);
	return cprof_baseline_account_untold(teller->account, teller->allocator, "%s",
					     "it changed while it was read, or was overwritten");
}

static struct cprof_error *on_area(void *ctx, uint64_t start, uint64_t end)
{
	return cprof_baseline_teller_range(ctx, start, end);
}

static bool may_hold(const struct cprof_map *map)
{
	return !map->inode && (map->prot & (PROT_READ | PROT_WRITE)) == (PROT_READ | PROT_WRITE) &&
	       !(map->prot & PROT_EXEC) &&
	       (!map->path[0] || strcmp(map->path, "[heap]") == 0 ||
		strncmp(map->path, "[anon", 5) == 0);
}

static struct cprof_error *read_all(const struct cprof_baseline_target *target, void *place,
				    struct cprof_baseline_account *account)
{
	static const struct cprof_musl_chunk_fns fns = { on_chunk, on_area };
	struct cprof_baseline_teller teller;
	uint64_t budget = BUDGET;
	(void)place;
	struct cprof_error *err = cprof_baseline_teller_init(&teller, target->memory, account,
							     cprof_baseline_musl_old.name);
	for (size_t i = 0; !err && i < target->maps->n_sorted; i++) {
		const struct cprof_map *map = target->maps->sorted[i];
		if (may_hold(map))
			err = cprof_musl_chunks_each(target->memory, map->start, map->end, &fns,
						     &teller, &budget);
	}
	if (!err && !budget)
		err = cprof_baseline_account_untold(
			account, teller.allocator,
			"there is more memory than is looked through, or it was overwritten");
	cprof_baseline_teller_deinit(&teller);
	return err;
}

const struct cprof_baseline_source cprof_baseline_musl_old = {
	.name = "musl oldmalloc",
	.find = find,
	.read = read_all,
};
