/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/tail_calls.h"

#include <stdlib.h>
#include <string.h>

#include "attach/run/stack_walker.h"
#include "attach/run/tail_way.h"
#include "base/array.h"
#include "base/cleanup.h"

struct restore {
	struct cprof_mapping_numbers *numbers; /* borrowed */
	struct cprof_tail_ways ways;
	struct cprof_map64
		of_pair; /* frame below, frame above -> first of its frames in `between` + 1, 0: none */
	struct between {
		struct cprof_stack_frame frame;
		uint32_t left; /* frames of this pair from here on, this one included */
	} * between;           /* owned */
	size_t n_between, cap_between;
	struct cprof_stack_frame stack[CPROF_KERNEL_DEPTH_MAX + CPROF_STACK_DEPTH_MAX + 1];
	uint64_t added;
};

static void restore_free(struct restore *r)
{
	cprof_map64_deinit(&r->of_pair);
	free(r->between);
	free(r);
}

/* Innermost first, as stacks are. */
static struct cprof_error *keep_way(struct restore *r, struct cprof_maps *maps,
				    const struct cprof_tail_way *way)
{
	struct cprof_error *err = NULL;
	if (!CPROF_ARRAY_ROOM(r->between, r->n_between, r->cap_between, way->n))
		return cprof_error_no_memory();
	for (size_t i = way->n; i-- > 0 && !err;) {
		struct between *between = &r->between[r->n_between];
		*between = (struct between){ { .addr = way->steps[i].addr }, (uint32_t)i + 1 };
		err = cprof_mapping_numbers_of_maps(r->numbers, maps, way->steps[i].map,
						    &between->frame.mapping);
		r->n_between += !err;
	}
	return err;
}

/* The frames that are missing between `inner` and the frame that called something, `outer`. */
static struct cprof_error *look(struct restore *r, const struct cprof_stack_frame *inner,
				const struct cprof_stack_frame *outer, uint64_t *place)
{
	const struct cprof_mapping_source *called =
		cprof_mapping_numbers_source(r->numbers, inner->mapping);
	const struct cprof_mapping_source *caller =
		cprof_mapping_numbers_source(r->numbers, outer->mapping);
	if (!called || !caller || !called->map || !caller->map || called->maps != caller->maps)
		return NULL;
	struct cprof_maps *maps = caller->maps;
	struct cprof_tail_way way;
	struct cprof_error *err = cprof_tail_ways_find(
		&r->ways, maps, &(struct cprof_tail_step){ called->map, inner->addr },
		&(struct cprof_tail_step){ caller->map, outer->addr }, &way);
	if (err || !way.n)
		return err;
	*place = r->n_between + 1;
	return keep_way(r, maps, &way);
}

static struct cprof_error *look_once(struct restore *r, uint32_t inner, uint32_t outer,
				     uint64_t *ret_place)
{
	const struct cprof_stack_frame *frames = cprof_builder_stacks(r->numbers->builder)->frames;
	bool is_new;
	uint64_t *known = cprof_map64_put(&r->of_pair, (uint64_t)inner << 32 | outer, &is_new);
	if (!known)
		return cprof_error_no_memory();
	struct cprof_error *err = is_new ? look(r, &frames[inner], &frames[outer], known) : NULL;
	*ret_place = err ? 0 : *known;
	return err;
}

/* The stack that the samples of `stack` are to have: a new one, or itself. */
static struct cprof_error *restore_stack(void *ctx, uint32_t stack, uint32_t *ret_stack)
{
	struct restore *r = ctx;
	const size_t cap = sizeof(r->stack) / sizeof(r->stack[0]);
	const struct cprof_stack_table *table = cprof_builder_stacks(r->numbers->builder);
	uint32_t n;
	const uint32_t *items = cprof_stack_table_items(table, stack, &n);
	size_t length = 0;
	uint64_t added = 0;
	for (uint32_t i = 0; i < n && length < cap; i++) {
		uint64_t place = 0;
		r->stack[length++] = table->frames[items[i]];
		struct cprof_error *err =
			i + 1 < n ? look_once(r, items[i], items[i + 1], &place) : NULL;
		if (err)
			return err;
		for (uint32_t left = place ? r->between[place - 1].left : 0;
		     left && length + (n - i) < cap; left--, added++)
			r->stack[length++] = r->between[place++ - 1].frame;
	}
	*ret_stack = stack;
	r->added += added;
	return added ? cprof_builder_stack(r->numbers->builder, r->stack, length, ret_stack) : NULL;
}

struct cprof_error *cprof_tail_calls_restore(struct cprof_mapping_numbers *numbers,
					     struct cprof_names_options naming, uint64_t *ret_added)
{
	struct restore *r = calloc(1, sizeof(*r));
	if (!r)
		return cprof_error_no_memory();
	r->numbers = numbers;
	cprof_tail_ways_init(&r->ways, numbers->modules, naming);
	struct cprof_error *err = cprof_builder_restack(numbers->builder, restore_stack, r);
	*ret_added = r->added;
	restore_free(r);
	return err;
}
