/* SPDX-License-Identifier: Apache-2.0 */
#include "convert/profile/builder_carry.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/profile/builder_impl.h"

#define SLOT_BYTES 48 /* of a hash table that is half empty */

static struct cprof_error *carry_mappings(const struct cprof_builder *from,
					  struct cprof_builder *to)
{
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < from->mappings.n; i++) {
		const struct cprof_mapping *mapping = &from->mappings.at[i];
		const struct cprof_builder_mapping same = {
			.start = mapping->start,
			.limit = mapping->limit,
			.offset = mapping->offset,
			.filename = cprof_intern_get(&from->strings, mapping->filename),
			.build_id = cprof_intern_get(&from->strings, mapping->build_id),
		};
		uint32_t number;
		err = cprof_builder_mapping(to, &same, &number);
	}
	return err;
}

struct cprof_error *cprof_builder_again(const struct cprof_builder *from,
					struct cprof_builder **ret_builder)
{
	CPROF_AUTO(free)
	struct cprof_builder_type *types = calloc(from->types.n + 1, sizeof(*types));
	struct cprof_builder *to;
	if (!types)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < from->types.n; i++)
		types[i] = (struct cprof_builder_type){
			.type = cprof_intern_get(&from->strings, from->types.at[i].type),
			.unit = cprof_intern_get(&from->strings, from->types.at[i].unit),
		};
	struct cprof_error *err = cprof_builder_new(types, from->types.n, &to);
	if (err)
		return err;
	err = carry_mappings(from, to);
	if (err)
		cprof_builder_free(to);
	else
		*ret_builder = to;
	return err;
}

struct cprof_error *cprof_builder_carry_stack(const struct cprof_builder *from, uint32_t stack,
					      struct cprof_builder *to, uint32_t *ret_stack)
{
	uint32_t n;
	const uint32_t *items = cprof_stack_table_items(&from->stacks, stack, &n);
	CPROF_AUTO(free)
	struct cprof_stack_frame *frames = calloc((size_t)n + 1, sizeof(*frames));
	if (!frames)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < n; i++)
		frames[i] = from->stacks.frames[items[i]];
	return cprof_builder_stack(to, frames, n, ret_stack);
}

struct cprof_error *cprof_builder_carry_labels(const struct cprof_builder *from, uint32_t labels,
					       struct cprof_builder *to, uint32_t *ret_labels)
{
	const struct builder_run run = from->label_runs.at[labels];
	CPROF_AUTO(free)
	struct cprof_builder_label *set = calloc((size_t)run.n + 1, sizeof(*set));
	if (!set)
		return cprof_error_no_memory();
	for (uint32_t i = 0; i < run.n; i++) {
		const struct cprof_label *label = &from->labels.at[run.first + i];
		const char *text = cprof_intern_get(&from->strings, label->text);
		set[i].key = cprof_intern_get(&from->strings, label->key);
		set[i].num = label->num;
		if (label->is_num)
			set[i].unit = text;
		else
			set[i].str = text;
	}
	return cprof_builder_labels(to, set, run.n, ret_labels);
}

size_t cprof_builder_n_types(const struct cprof_builder *builder)
{
	return builder->types.n;
}

size_t cprof_builder_bytes(const struct cprof_builder *builder)
{
	const struct cprof_stack_table *stacks = &builder->stacks;
	return (size_t)stacks->n_items * sizeof(*stacks->items) +
	       (size_t)stacks->n_stacks * (sizeof(*stacks->stacks) + SLOT_BYTES) +
	       (size_t)stacks->n_frames * (sizeof(*stacks->frames) + SLOT_BYTES) +
	       (size_t)builder->labels.n * sizeof(*builder->labels.at) +
	       (size_t)builder->label_runs.n * (sizeof(*builder->label_runs.at) + SLOT_BYTES) +
	       (size_t)builder->samples.n * (sizeof(*builder->samples.at) + SLOT_BYTES +
					     builder->types.n * sizeof(*builder->values)) +
	       (size_t)builder->strings.len * (sizeof(*builder->strings.entries) + SLOT_BYTES);
}
