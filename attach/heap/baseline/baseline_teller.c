/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_teller.h"

#define LARGE    (1ull << 63)
#define LOOK_MAX (1ull << 30)

struct cprof_error *cprof_baseline_teller_init(struct cprof_baseline_teller *teller,
					       struct cprof_baseline_memory *memory,
					       struct cprof_baseline_account *account,
					       const char *name)
{
	*teller = (struct cprof_baseline_teller){ .memory = memory, .account = account };
	return cprof_baseline_account_allocator(account, name, &teller->allocator);
}

void cprof_baseline_teller_deinit(struct cprof_baseline_teller *teller)
{
	cprof_map64_deinit(&teller->rows);
}

struct cprof_error *cprof_baseline_teller_row(struct cprof_baseline_teller *teller, uint64_t key,
					      const char *arena, uint64_t low, uint64_t high,
					      uint32_t *ret_row)
{
	struct cprof_baseline_class class = { .allocator = teller->allocator,
					      .low = low,
					      .high = high };
	struct cprof_error *err = NULL;
	bool fresh;
	if (teller->last_row && teller->last_key == key) {
		*ret_row = teller->last_row - 1;
		return NULL;
	}
	uint64_t *known = cprof_map64_put(&teller->rows, key, &fresh);
	if (!known)
		return cprof_error_no_memory();
	if (fresh && arena)
		err = cprof_intern_text(&teller->account->texts, arena, &class.arena);
	if (fresh && !err)
		err = cprof_baseline_account_row(teller->account, &class, ret_row);
	if (fresh && !err)
		*known = *ret_row;
	*ret_row = (uint32_t)*known;
	teller->last_key = key;
	teller->last_row = err ? 0 : *ret_row + 1;
	return err;
}

struct cprof_error *cprof_baseline_teller_large_row(struct cprof_baseline_teller *teller,
						    uint64_t bytes, uint32_t *ret_row)
{
	const unsigned power = bytes ? 63 - (unsigned)__builtin_clzll(bytes) : 0;
	const uint64_t low = 1ull << power;
	return cprof_baseline_teller_row(teller, LARGE | power, NULL, low, low + (low - 1),
					 ret_row);
}

struct cprof_baseline_totals *cprof_baseline_teller_totals(struct cprof_baseline_teller *teller)
{
	return &teller->account->allocators[teller->allocator].totals;
}

struct cprof_error *cprof_baseline_teller_may_look(struct cprof_baseline_teller *teller, uint64_t n,
						   bool *ret_may)
{
	*ret_may = n <= LOOK_MAX - teller->looked_at;
	if (!*ret_may)
		return cprof_baseline_account_untold(
			teller->account, teller->allocator,
			"it says that it has more blocks than are looked at one by one");
	teller->looked_at += n;
	return NULL;
}

struct cprof_error *cprof_baseline_teller_block(struct cprof_baseline_teller *teller, uint32_t row,
						uint64_t addr, uint64_t bytes, uint64_t absent)
{
	struct cprof_error *err = cprof_baseline_account_block(teller->account, row, addr, bytes);
	cprof_baseline_teller_totals(teller)->parts[CPROF_BASELINE_IN_USE].absent += absent;
	return err;
}

void cprof_baseline_teller_tiny(struct cprof_baseline_teller *teller, uint32_t row,
				uint64_t objects, uint64_t absent)
{
	cprof_baseline_account_count(teller->account, row, objects, objects * 8);
	cprof_baseline_teller_totals(teller)->parts[CPROF_BASELINE_IN_USE].absent += absent;
}

void cprof_baseline_teller_part(struct cprof_baseline_teller *teller, enum cprof_baseline_part part,
				uint64_t objects, uint64_t bytes, uint64_t absent)
{
	cprof_baseline_account_part(teller->account, teller->allocator, part, objects, bytes);
	cprof_baseline_teller_totals(teller)->parts[part].absent += absent;
}

uint64_t cprof_baseline_teller_absent(struct cprof_baseline_teller *teller, uint64_t start,
				      uint64_t end)
{
	return cprof_baseline_memory_absent(teller->memory, start, end);
}

void cprof_baseline_teller_place(struct cprof_baseline_teller *teller,
				 enum cprof_baseline_part part, uint64_t objects, uint64_t start,
				 uint64_t end)
{
	if (start < end)
		cprof_baseline_teller_part(teller, part, objects, end - start,
					   cprof_baseline_teller_absent(teller, start, end));
}

struct cprof_error *cprof_baseline_teller_range(struct cprof_baseline_teller *teller,
						uint64_t start, uint64_t end)
{
	return cprof_baseline_account_range(teller->account, teller->allocator, start, end);
}
