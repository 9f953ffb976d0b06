/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_history.h"

#include <stdlib.h>

#include "base/array.h"
#include "convert/profile/heap_age.h"

void cprof_heap_history_deinit(struct cprof_heap_history *history)
{
	for (size_t i = 0; i < history->n; i++)
		free(history->moments[i].shares);
	*history = (struct cprof_heap_history){ 0 };
}

static struct cprof_error *add_block(struct cprof_heap_moment *moment, struct cprof_map64 *places,
				     const struct cprof_heap_profile *profile,
				     const struct cprof_heap_block *block)
{
	const uint32_t stack = profile->rows[block->row].stack;
	const unsigned age = cprof_heap_age_of(cprof_heap_block_age(block, moment->at_ns));
	uint64_t *place = cprof_map64_put(places, (uint64_t)stack << 8 | age, NULL);
	if (!place)
		return cprof_error_no_memory();
	if (!moment->shares || !*place) {
		if (!CPROF_ARRAY_ROOM(moment->shares, moment->n, moment->cap, 1))
			return cprof_error_no_memory();
		moment->shares[moment->n] = (struct cprof_heap_share){ .stack = stack, .age = age };
		*place = ++moment->n;
	}
	struct cprof_heap_share *share = &moment->shares[*place - 1];
	share->bytes += (double)block->size / cprof_heap_probability(block->size, block->period);
	share->samples++;
	return NULL;
}

/* Every second one goes. The first stays, and so the distance is the same everywhere. */
static void thin_out(struct cprof_heap_history *history)
{
	size_t kept = 0;
	for (size_t i = 0; i < history->n; i++) {
		if (i % 2 == 0) {
			history->moments[kept++] = history->moments[i];
			continue;
		}
		history->n_shares -= history->moments[i].n;
		free(history->moments[i].shares);
	}
	history->n = kept;
	history->every_ns *= 2;
}

struct cprof_error *cprof_heap_history_take(struct cprof_heap_history *history,
					    const struct cprof_heap_profile *profile,
					    const struct cprof_map64 *alive, uint64_t at_ns)
{
	struct cprof_heap_moment moment = { .at_ns = at_ns };
	struct cprof_map64 places = { 0 };
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < profile->n_blocks; i++) {
		if (cprof_map64_get(alive, profile->blocks[i].id))
			err = add_block(&moment, &places, profile, &profile->blocks[i]);
	}
	cprof_map64_deinit(&places);
	if (err) {
		free(moment.shares);
		return err;
	}
	while (history->n > 1 && (history->n == CPROF_HEAP_HISTORY_MOMENTS ||
				  history->n_shares + moment.n > CPROF_HEAP_HISTORY_SHARES))
		thin_out(history);
	history->moments[history->n++] = moment;
	history->n_shares += moment.n;
	history->due_ns = at_ns + history->every_ns;
	return NULL;
}
