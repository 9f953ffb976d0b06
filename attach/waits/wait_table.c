/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_table.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void cprof_wait_table_deinit(struct cprof_wait_table *table)
{
	free(table->rows);
	cprof_map64_deinit(&table->row_by_hash);
	*table = (struct cprof_wait_table){ 0 };
}

static uint64_t hash_row(const struct cprof_wait_row *row)
{
	uint64_t hash = cprof_hash_mix(row->stack, row->tid);
	hash = cprof_hash_mix(hash, row->addr);
	hash = cprof_hash_mix(hash, (uint64_t)row->owner_tid << 32 | (uint32_t)row->syscall);
	hash = cprof_hash_mix(hash, row->request);
	return cprof_hash_mix(hash, (uint64_t)row->by_number << 2 | (uint64_t)row->requeued << 1 |
					    row->open);
}

static bool equal_rows(const struct cprof_wait_row *a, const struct cprof_wait_row *b)
{
	return a->stack == b->stack && a->tid == b->tid && a->addr == b->addr &&
	       a->owner_tid == b->owner_tid && a->syscall == b->syscall &&
	       a->by_number == b->by_number && a->requeued == b->requeued && a->open == b->open &&
	       a->request == b->request;
}

static struct cprof_error *find_row(struct cprof_wait_table *table,
				    const struct cprof_wait_row *want,
				    struct cprof_wait_row **ret_row)
{
	for (uint64_t hash = hash_row(want);; hash++) {
		const uint64_t *index = cprof_map64_get(&table->row_by_hash, hash);
		if (index && equal_rows(&table->rows[*index], want)) {
			*ret_row = &table->rows[*index];
			return NULL;
		}
		if (index)
			continue;
		if (!CPROF_ARRAY_ROOM(table->rows, table->n_rows, table->cap_rows, 1))
			return cprof_error_no_memory();
		uint64_t *slot = cprof_map64_put(&table->row_by_hash, hash, NULL);
		if (!slot)
			return cprof_error_no_memory();
		*slot = table->n_rows;
		table->rows[table->n_rows] = *want;
		*ret_row = &table->rows[table->n_rows++];
		return NULL;
	}
}

struct cprof_error *cprof_wait_table_add(struct cprof_wait_table *table,
					 const struct cprof_wait *wait, uint32_t stack,
					 uint32_t *ret_row)
{
	struct cprof_wait_row want = {
		.stack = stack,
		.tid = wait->tid,
		.owner_tid = wait->owner_tid,
		.addr = wait->addr,
		.syscall = wait->syscall,
		.by_number = cprof_wait_kind_by_number(wait),
		.open = wait->open,
		.requeued = wait->requeued,
		.request = wait->request,
	};
	if (table->n_rows >= CPROF_WAIT_TABLE_MAX) {
		want.tid = want.owner_tid = want.request = 0;
		want.addr = 0;
		table->coarse++;
	}
	struct cprof_wait_row *row;
	struct cprof_error *err = find_row(table, &want, &row);
	if (err)
		return err;
	row->count += wait->count;
	row->delay_ns += wait->delay_ns;
	row->queue_ns += wait->queue_ns;
	if (ret_row)
		*ret_row = (uint32_t)(row - table->rows);
	return NULL;
}

struct cprof_error *cprof_wait_table_carry(struct cprof_wait_table *table,
					   const struct cprof_wait_row *row, uint32_t *ret_row)
{
	struct cprof_wait_row *kept;
	struct cprof_error *err = find_row(table, row, &kept);
	if (!err)
		*ret_row = (uint32_t)(kept - table->rows);
	return err;
}

struct cprof_error *cprof_wait_table_open(struct cprof_wait_table *table, uint32_t from,
					  double count, double delay_ns, uint32_t *ret_row)
{
	struct cprof_wait_row want = table->rows[from], *row;
	want.open = true;
	want.count = want.delay_ns = want.queue_ns = 0;
	struct cprof_error *err = find_row(table, &want, &row);
	if (err)
		return err;
	row->count += count;
	row->delay_ns += delay_ns;
	table->rows[from].count -= count;
	table->rows[from].delay_ns -= delay_ns;
	*ret_row = (uint32_t)(row - table->rows);
	return NULL;
}
