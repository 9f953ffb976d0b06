/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "attach/heap/baseline/baseline_spread.h"
#include "base/clock.h"
#include "convert/profile/heap_age.h"
#include "tests/unit/test.h"

struct spread {
	struct cprof_baseline_account account;
	uint32_t row[2], stack[2];
	uint64_t at;
};

static void ok(struct cprof_error *err)
{
	CHECK(!err);
}

/* Rows of 100 bytes and of 1,000 bytes, and two stacks. */
static void begin(struct spread *spread, struct cprof_baseline_account *before)
{
	const struct cprof_baseline_class small = { .low = 100, .high = 100 },
					  large = { .low = 1000, .high = 1000 };
	uint32_t allocator;
	*spread = (struct spread){ .at = 0x10000 };
	ok(cprof_baseline_account_init(&spread->account, before));
	ok(cprof_baseline_account_allocator(&spread->account, "some malloc", &allocator));
	ok(cprof_baseline_account_row(&spread->account, &small, &spread->row[0]));
	ok(cprof_baseline_account_row(&spread->account, &large, &spread->row[1]));
	for (uint64_t i = 0; i < 2; i++)
		ok(cprof_baseline_stacks_number(&spread->account.stacks,
						(uint64_t[]){ 0x400000 + i, 0x500000 }, 2,
						&spread->stack[i]));
}

static void hold(struct spread *spread, unsigned row, unsigned n)
{
	for (unsigned i = 0; i < n; i++, spread->at += 0x1000)
		ok(cprof_baseline_account_block(&spread->account, spread->row[row], spread->at,
						row ? 1000 : 100));
}

static void sample(struct spread *spread, unsigned row, unsigned stack, uint64_t number,
		   double weight)
{
	const struct cprof_baseline_sampled sampled = { .addr = 0x10000 + 0x1000 * number,
							.bytes = row ? 1000 : 100,
							.stack = spread->stack[stack],
							.born = 7,
							.weight = weight };
	ok(cprof_baseline_account_sampled(&spread->account, spread->row[row], &sampled));
}

struct sums {
	uint64_t objects, bytes;
};

static struct sums all(const struct cprof_baseline_account *account)
{
	struct sums sums = { 0 };
	for (uint32_t i = 0; i < account->n_rows; i++) {
		sums.objects += account->rows[i].stackless;
		sums.bytes += account->rows[i].stackless_bytes;
	}
	for (uint32_t i = 0; i < account->stacks.n_rows; i++) {
		sums.objects += account->stacks.rows[i].whole_objects;
		sums.bytes += account->stacks.rows[i].whole_bytes;
	}
	return sums;
}

TEST(baseline_spread_leaves_to_a_size_what_its_stacks_do_not_stand_for)
{
	struct spread spread;
	begin(&spread, NULL);
	hold(&spread, 0, 100);
	hold(&spread, 1, 10);
	sample(&spread, 0, 0, 3, 30);
	sample(&spread, 0, 1, 4, 30);
	sample(&spread, 1, 1, 100, 2);
	cprof_baseline_account_spread(&spread.account);
	CHECK_UINT(spread.account.stacks.n_rows, 3);
	CHECK_UINT(spread.account.stacks.rows[0].whole_objects, 30);
	CHECK_UINT(spread.account.stacks.rows[0].whole_bytes, 3000);
	CHECK_UINT(spread.account.rows[spread.row[0]].stackless, 40);
	CHECK_UINT(spread.account.rows[spread.row[1]].stackless_bytes, 8000);
	CHECK_UINT(all(&spread.account).objects, 110);
	CHECK_UINT(all(&spread.account).bytes, 20000);
	cprof_baseline_account_deinit(&spread.account);
}

TEST(baseline_spread_never_tells_more_than_is_held_and_never_less_than_was_sampled)
{
	static const double weights[] = { 1, 1.4, 7.3, 33, 1e6, 1e30, (double)INFINITY };
	for (size_t i = 0; i < sizeof(weights) / sizeof(weights[0]); i++) {
		struct spread spread;
		begin(&spread, NULL);
		hold(&spread, 0, 50);
		hold(&spread, 1, 5);
		for (uint64_t k = 0; k < 20; k++)
			sample(&spread, 0, k % 2, k, weights[i]);
		sample(&spread, 1, 0, 50, 1);
		cprof_baseline_account_spread(&spread.account);
		CHECK_UINT(all(&spread.account).objects, 55);
		CHECK_UINT(all(&spread.account).bytes, 10000);
		for (uint32_t k = 0; k < spread.account.stacks.n_rows && weights[i] < 1e29; k++)
			CHECK(spread.account.stacks.rows[k].whole_objects >=
			      spread.account.stacks.rows[k].sampled);
		cprof_baseline_account_deinit(&spread.account);
	}
}

TEST(baseline_spread_without_stacks_changes_nothing)
{
	struct spread spread;
	begin(&spread, NULL);
	hold(&spread, 1, 7);
	cprof_baseline_account_spread(&spread.account);
	CHECK_UINT(spread.account.rows[spread.row[1]].stackless, 7);
	CHECK_UINT(all(&spread.account).bytes, 7000);
	cprof_baseline_account_deinit(&spread.account);
}

TEST(baseline_sampled_blocks_count_once_in_use_only_and_as_the_same_block)
{
	struct spread then, now;
	begin(&then, NULL);
	hold(&then, 0, 10);
	sample(&then, 0, 0, 1, 3);
	sample(&then, 0, 0, 1, 3);
	sample(&then, 0, 0, 11, 3); /* nobody has it */
	CHECK_UINT(then.account.stacks.born.len, 1);
	begin(&now, &then.account);
	hold(&now, 0, 10);
	sample(&now, 0, 0, 1, 3);
	sample(&now, 0, 0, 2, 3); /* was not sampled then: another block at that place */
	*cprof_map64_get(&then.account.stacks.born, 0x11000) = 6;
	CHECK_UINT(now.account.stacks.born.len, 1);
	sample(&now, 0, 1, 1, 3);
	CHECK_UINT(now.account.stacks.n_rows, 1);
	cprof_baseline_account_deinit(&now.account);
	cprof_baseline_account_deinit(&then.account);
}

TEST(baseline_weights_are_one_over_the_probability)
{
	CHECK(fabs(cprof_baseline_weight(1, 524288) - 524288.5) < 0.01);
	CHECK(fabs(cprof_baseline_weight(524288, 524288) - 1.5819767) < 1e-6);
	CHECK(cprof_baseline_weight(1ull << 40, 524288) == 1);
	CHECK(cprof_baseline_weight(0, 524288) == 1);
	CHECK(cprof_baseline_weight(5, 1) == 1);
}

TEST(baseline_ages_are_told_by_either_clock)
{
	CHECK_UINT(cprof_baseline_age(0), 0);
	CHECK_UINT(cprof_baseline_age(UINT64_MAX), 0);
	CHECK_UINT(cprof_baseline_age(cprof_clock_mono_ns()), 1);
	CHECK_UINT(cprof_baseline_age(cprof_clock_wall_ns() - 3600 * CPROF_NS_PER_S),
		   cprof_heap_age_of(3601 * CPROF_NS_PER_S) + 1);
}
