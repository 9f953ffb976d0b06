/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_baseline.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "attach/heap/resident/stack_claims.h"
#include "base/cleanup.h"

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* Is it memory that an allocator may have? */
static bool is_heap(const struct cprof_smaps_row *row)
{
	return row->read && row->write && !row->shared && !row->inode &&
	       !begins(row->name, "[stack") && !begins(row->name, "[v");
}

struct cprof_error *cprof_heap_baseline_of(const struct cprof_smaps *smaps,
					   struct cprof_resident *stacks, uint64_t *ret_bytes)
{
	uint64_t heaps = 0, known_stacks = 0;
	const uint32_t line = cprof_resident_line(stacks, CPROF_STACK_CLAIMS_LINE);
	struct cprof_error *err = cprof_resident_settle(stacks, smaps, NULL, NULL);
	if (err)
		return err;
	for (size_t i = 0; i < smaps->n; i++) {
		const struct cprof_smaps_row *row = &smaps->rows[i];
		heaps += is_heap(row) ? row->anonymous + row->swap : 0;
		known_stacks += begins(row->name, "[stack") ? row->rss : 0;
	}
	/* In that line are those that the kernel names as well. */
	const uint64_t bytes = stacks->lines[line].bytes;
	const uint64_t others = bytes > known_stacks ? bytes - known_stacks : 0;
	*ret_bytes = heaps > others ? heaps - others : 0;
	return NULL;
}

static struct cprof_error *sum_up(const struct cprof_target *target,
				  const struct cprof_smaps *smaps, struct cprof_resident *stacks,
				  uint64_t *ret_bytes)
{
	CPROF_AUTO(free) pid_t *tids = NULL;
	size_t n = 0;
	struct cprof_error *err = cprof_target_threads(target, &tids, &n);
	if (!err)
		err = cprof_stack_claims_read(stacks, smaps, target->pid, tids, n, 0);
	return err ? err : cprof_heap_baseline_of(smaps, stacks, ret_bytes);
}

struct cprof_error *cprof_heap_baseline(const struct cprof_target *target,
					const struct cprof_smaps *smaps, uint64_t *ret_bytes)
{
	struct cprof_resident *stacks = calloc(1, sizeof(*stacks));
	if (!stacks)
		return cprof_error_no_memory();
	struct cprof_error *err = sum_up(target, smaps, stacks, ret_bytes);
	cprof_resident_deinit(stacks);
	free(stacks);
	return err;
}
