/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/targets/target_ids.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/search.h"

void cprof_target_ids_deinit(struct cprof_target_ids *ids)
{
	free(ids->pids);
	*ids = (struct cprof_target_ids){ 0 };
}

/* Where `pid` is, or would be. */
static size_t place_of(const struct cprof_target_ids *ids, pid_t pid)
{
	return CPROF_SEARCH(i, ids->n, ids->pids[i] < pid);
}

bool cprof_target_ids_has(const struct cprof_target_ids *ids, pid_t pid)
{
	const size_t at = place_of(ids, pid);
	return at < ids->n && ids->pids[at] == pid;
}

bool cprof_target_ids_add(struct cprof_target_ids *ids, pid_t pid)
{
	const size_t at = place_of(ids, pid);
	if (at < ids->n && ids->pids[at] == pid)
		return true;
	if (!CPROF_ARRAY_ROOM(ids->pids, ids->n, ids->cap, 1))
		return false;
	memmove(ids->pids + at + 1, ids->pids + at, (ids->n - at) * sizeof(*ids->pids));
	ids->pids[at] = pid;
	ids->n++;
	return true;
}

void cprof_target_ids_remove(struct cprof_target_ids *ids, pid_t pid)
{
	const size_t at = place_of(ids, pid);
	if (at == ids->n || ids->pids[at] != pid)
		return;
	ids->n--;
	memmove(ids->pids + at, ids->pids + at + 1, (ids->n - at) * sizeof(*ids->pids));
}

void cprof_target_ids_keep(struct cprof_target_ids *ids, bool (*wanted)(const void *ctx, pid_t pid),
			   const void *ctx)
{
	size_t kept = 0;
	for (size_t i = 0; i < ids->n; i++) {
		if (wanted(ctx, ids->pids[i]))
			ids->pids[kept++] = ids->pids[i];
	}
	ids->n = kept;
}
