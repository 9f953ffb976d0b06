/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_since.h"

#include <stdlib.h>

void cprof_heap_since_deinit(struct cprof_heap_since *since)
{
	free(since->rows);
	*since = (struct cprof_heap_since){ 0 };
}

struct cprof_error *cprof_heap_since_mark(struct cprof_heap_since *since,
					  struct cprof_heap_profile *profile,
					  const struct cprof_map64 *alive)
{
	struct cprof_heap_since_row *rows = calloc((size_t)profile->n_rows + 1, sizeof(*rows));
	if (!rows)
		return cprof_error_no_memory();
	cprof_heap_profile_settle(profile, alive);
	for (uint32_t i = 0; i < profile->n_rows; i++)
		rows[i] = (struct cprof_heap_since_row){ profile->rows[i].alloc,
							 profile->rows[i].inuse };
	cprof_heap_since_deinit(since);
	*since = (struct cprof_heap_since){
		.marked = true,
		.mark_ticks = (uint32_t)(profile->now_ns / CPROF_HEAP_TICK_NS),
		.rows = rows,
		.n_rows = profile->n_rows,
		.all = { profile->alloc, profile->inuse },
	};
	profile->now_ns = cprof_heap_since_clock(since, profile->now_ns);
	return NULL;
}

uint64_t cprof_heap_since_clock(const struct cprof_heap_since *since, uint64_t now_ns)
{
	const uint64_t first_ns = (since->mark_ticks + 1ull) * CPROF_HEAP_TICK_NS;
	return since->marked && now_ns < first_ns ? first_ns : now_ns;
}

struct cprof_heap_since_row cprof_heap_since_row(const struct cprof_heap_since *since, uint32_t row)
{
	return row < since->n_rows ? since->rows[row] : (struct cprof_heap_since_row){ 0 };
}
