/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_stacks.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct cprof_error *cprof_baseline_stacks_init(struct cprof_baseline_stacks *stacks)
{
	*stacks = (struct cprof_baseline_stacks){ 0 };
	struct cprof_error *err = cprof_intern_init(&stacks->addrs);
	return err ? err : cprof_intern_init(&stacks->classes);
}

void cprof_baseline_stacks_deinit(struct cprof_baseline_stacks *stacks)
{
	cprof_intern_deinit(&stacks->addrs);
	cprof_intern_deinit(&stacks->classes);
	free(stacks->rows);
	cprof_map64_deinit(&stacks->born);
	*stacks = (struct cprof_baseline_stacks){ 0 };
}

struct cprof_error *cprof_baseline_stacks_number(struct cprof_baseline_stacks *stacks,
						 const uint64_t *addrs, size_t n,
						 uint32_t *ret_stack)
{
	n = n < CPROF_BASELINE_DEPTH ? n : CPROF_BASELINE_DEPTH;
	return cprof_intern_bytes(&stacks->addrs, (const char *)addrs, n * sizeof(*addrs),
				  ret_stack);
}

size_t cprof_baseline_stacks_get(const struct cprof_baseline_stacks *stacks, uint32_t stack,
				 uint64_t *addrs)
{
	const struct cprof_intern_entry *entry = &stacks->addrs.entries[stack];
	memcpy(addrs, entry->text, entry->len);
	return entry->len / sizeof(*addrs);
}

struct cprof_error *cprof_baseline_stacks_add(struct cprof_baseline_stacks *stacks,
					      const struct cprof_baseline_stack_class *class,
					      uint64_t bytes, double weight)
{
	uint32_t number;
	_Static_assert(sizeof(*class) == 16, "no padding: it is compared as bytes");
	struct cprof_error *err =
		cprof_intern_bytes(&stacks->classes, (const char *)class, sizeof(*class), &number);
	if (err)
		return err;
	if (number > stacks->n_rows) {
		if (!CPROF_ARRAY_ROOM(stacks->rows, stacks->n_rows, stacks->cap_rows, 1))
			return cprof_error_no_memory();
		stacks->rows[stacks->n_rows++] =
			(struct cprof_baseline_stack_row){ .class = *class };
	}
	struct cprof_baseline_stack_row *row = &stacks->rows[number - 1];
	row->sampled++;
	row->sampled_bytes += bytes;
	row->objects += weight;
	row->bytes += weight * (double)bytes;
	return NULL;
}
