/* SPDX-License-Identifier: Apache-2.0 */
#include "cprof/stack_table.h"

#include "tests/unit/test.h"

static uint32_t add(struct cprof_stack_table *table, const struct cprof_stack_frame *frames,
		    size_t n)
{
	uint32_t stack;
	CHECK(!cprof_stack_table_add(table, frames, n, &stack));
	return stack;
}

TEST(stack_table_gives_equal_stacks_one_number_in_the_order_they_came)
{
	struct cprof_stack_table table = { 0 };
	static const struct cprof_stack_frame frames[] = { { 0x10, 1 }, { 0x20, 1 }, { 0x30, 2 } };
	CHECK_UINT(add(&table, frames, 3), 0);
	CHECK_UINT(add(&table, frames, 2), 1);     /* a part of it is another */
	CHECK_UINT(add(&table, frames + 1, 2), 2); /* and so is the other part */
	CHECK_UINT(add(&table, NULL, 0), 3);       /* an empty one is one as well */
	CHECK_UINT(add(&table, frames, 3), 0);
	CHECK_UINT(add(&table, NULL, 0), 3);
	CHECK_UINT(table.n_stacks, 4);
	CHECK_UINT(table.n_frames, 3);
	cprof_stack_table_deinit(&table);
}

TEST(stack_table_tells_apart_what_differs_in_mapping_or_order)
{
	struct cprof_stack_table table = { 0 };
	static const struct cprof_stack_frame stacks[][2] = {
		{ { 0x10, 1 }, { 0x20, 1 } }, { { 0x20, 1 }, { 0x10, 1 } },
		{ { 0x10, 2 }, { 0x20, 1 } }, { { 0x10, 0 }, { 0x20, 1 } },
		{ { 0x10, 1 }, { 0x10, 1 } },
	};
	for (uint32_t i = 0; i < 5; i++)
		CHECK_UINT(add(&table, stacks[i], 2), i);
	for (uint32_t i = 0; i < 5; i++)
		CHECK_UINT(add(&table, stacks[i], 2), i);
	cprof_stack_table_deinit(&table);
}

TEST(stack_table_keeps_the_frames_of_each_stack_while_it_grows)
{
	enum { N = 20000, DEPTH = 12 };
	struct cprof_stack_table table = { 0 };
	struct cprof_stack_frame frames[DEPTH];
	for (uint32_t i = 0; i < N; i++) {
		for (uint32_t d = 0; d < DEPTH; d++)
			frames[d] = (struct cprof_stack_frame){ (i >> d) * 4 + d, d % 3 };
		CHECK_UINT(add(&table, frames, i % DEPTH + 1), i);
	}
	for (uint32_t i = 0; i < N; i++) {
		uint32_t n;
		const uint32_t *items = cprof_stack_table_items(&table, i, &n);
		CHECK_UINT(n, i % DEPTH + 1);
		for (uint32_t d = 0; d < n; d++) {
			CHECK_UINT(table.frames[items[d]].addr, (i >> d) * 4 + d);
			CHECK_UINT(table.frames[items[d]].mapping, d % 3);
		}
	}
	cprof_stack_table_deinit(&table);
}
