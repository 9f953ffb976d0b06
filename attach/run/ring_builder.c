/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/ring_builder.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "convert/profile/builder_carry.h"
#include "cprof/hash.h"

/* What a number of `from` is in `to`, asked for once each. */
typedef struct cprof_error *carry_fn(const struct cprof_builder *from, uint32_t number,
				     struct cprof_builder *to, uint32_t *ret_number);

struct carried {
	const struct cprof_builder *from;
	struct cprof_builder *to;
	carry_fn *carry;
	struct cprof_map64 known;
};

static struct cprof_error *carry_number(struct carried *carried, uint32_t number,
					uint32_t *ret_number)
{
	bool added;
	uint64_t *place = cprof_map64_put(&carried->known, number, &added);
	if (!place)
		return cprof_error_no_memory();
	if (added) {
		uint32_t there = 0;
		struct cprof_error *err =
			carried->carry(carried->from, number, carried->to, &there);
		if (err)
			return err;
		*place = there;
	}
	*ret_number = (uint32_t)*place;
	return NULL;
}

struct cprof_error *cprof_ring_builder_carry(struct cprof_sample_ring *ring,
					     const struct cprof_builder *from,
					     struct cprof_builder *to)
{
	struct carried stacks = { from, to, cprof_builder_carry_stack, { 0 } };
	struct carried labels = { from, to, cprof_builder_carry_labels, { 0 } };
	CPROF_AUTO(free) uint32_t *numbers = calloc(2 * ring->n + 1, sizeof(*numbers));
	struct cprof_error *err = numbers ? NULL : cprof_error_no_memory();
	for (size_t i = 0; !err && i < ring->n; i++) {
		const struct cprof_sample_ring_entry *entry = cprof_sample_ring_at(ring, i);
		err = carry_number(&stacks, entry->a, &numbers[2 * i]);
		if (!err)
			err = carry_number(&labels, entry->b, &numbers[2 * i + 1]);
	}
	for (size_t i = 0; !err && i < ring->n; i++) {
		struct cprof_sample_ring_entry *entry = cprof_sample_ring_at(ring, i);
		entry->a = numbers[2 * i];
		entry->b = numbers[2 * i + 1];
	}
	cprof_map64_deinit(&stacks.known);
	cprof_map64_deinit(&labels.known);
	return err;
}

struct cprof_error *cprof_ring_builder_fill(const struct cprof_sample_ring *ring,
					    struct cprof_builder *builder,
					    struct cprof_timeline *timeline, uint64_t start_ns)
{
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < ring->n; i++) {
		const struct cprof_sample_ring_entry *entry = cprof_sample_ring_at(ring, i);
		const uint64_t at_ns = entry->mono_ns > start_ns ? entry->mono_ns - start_ns : 0;
		if (!cprof_sample_ring_wants(ring, entry))
			continue;
		err = timeline
			      ? cprof_timeline_add(timeline, entry->a, entry->b, at_ns,
						   entry->values)
			      : cprof_builder_add_stack(builder, entry->a, entry->b, entry->values);
	}
	return err;
}
