/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/glibc_lists.h"
#include "attach/heap/baseline/glibc_mapped.h"
#include "attach/heap/baseline/glibc_place.h"
#include "attach/heap/baseline/glibc_walk.h"

#define BUDGET                                                                                     \
	(64u                                                                                       \
	 << 20) /* looks for places to go on from, of all areas together: a few seconds at most */

static void free_place(void *place)
{
	cprof_glibc_place_deinit(place);
	free(place);
}

/* Where another allocator is in use, an arena of glibc's may be there and have nothing. */
static bool has_memory(const struct cprof_glibc_place *place)
{
	uint32_t i = 0;
	while (i < place->n_arenas && !place->arenas[i].system_bytes)
		i++;
	return i < place->n_arenas;
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	struct cprof_glibc_place *place = calloc(1, sizeof(*place));
	if (!place)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_glibc_place_find(target, place);
	if (err || !has_memory(place)) {
		free_place(place);
		return err;
	}
	*ret_place = place;
	return NULL;
}

static struct cprof_error *walk_all(struct cprof_glibc_walk *walk)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < walk->place->n_areas; i++)
		err = cprof_glibc_walk_area(walk, &walk->place->areas[i]);
	if (!err)
		err = cprof_glibc_mapped_find(walk);
	if (err)
		return err;
	cprof_glibc_walk_look_again(walk);
	return cprof_glibc_lists_take_out(walk);
}

/* What was seen half at one moment and half at another is a block each. */
static struct cprof_error *settle(struct cprof_glibc_walk *walk)
{
	struct cprof_baseline_totals *totals = &walk->account->allocators[walk->allocator].totals;
	const struct cprof_baseline_sum *in_use = &totals->parts[CPROF_BASELINE_IN_USE];
	const uint64_t mean = in_use->objects ? in_use->bytes / in_use->objects + 1 : 64;
	totals->error_bytes += walk->conflicts * mean;
	totals->error_objects +=
		walk->conflicts + totals->parts[CPROF_BASELINE_UNTOLD].bytes / mean;
	if (walk->place->more_arenas)
		return cprof_baseline_account_untold(walk->account, walk->allocator,
						     "it has more than %u arenas",
						     CPROF_GLIBC_ARENAS_MAX);
	if (!walk->budget)
		return cprof_baseline_account_untold(
			walk->account, walk->allocator,
			"its memory was overwritten in too many places to go on");
	if (totals->parts[CPROF_BASELINE_UNTOLD].absent)
		return cprof_baseline_account_untold(
			walk->account, walk->allocator,
			"pages of it are swapped out, and are not brought back for this");
	if (totals->parts[CPROF_BASELINE_UNTOLD].bytes)
		return cprof_baseline_account_untold(
			walk->account, walk->allocator,
			"it changed while it was read, or was overwritten");
	return NULL;
}

static struct cprof_error *read_arenas(const struct cprof_baseline_target *target, void *place,
				       struct cprof_baseline_account *account)
{
	struct cprof_glibc_walk walk = {
		.target = target, .place = place, .account = account, .budget = BUDGET
	};
	struct cprof_error *err = cprof_baseline_account_allocator(
		account, cprof_baseline_glibc.name, &walk.allocator);
	walk.rows = (struct cprof_glibc_rows){ .account = account,
					       .types = target->types,
					       .allocator = walk.allocator };
	if (!err)
		err = walk_all(&walk);
	if (!err)
		err = settle(&walk);
	cprof_glibc_walk_deinit(&walk);
	return err;
}

const struct cprof_baseline_source cprof_baseline_glibc = {
	.name = "glibc malloc",
	.find = find,
	.read = read_arenas,
	.free_place = free_place,
};
