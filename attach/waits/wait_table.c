#include "attach/waits/wait_table.h"

#include <stdlib.h>
#include <string.h>

#include "convert/profile/profile.h"

void cprof_wait_table_deinit(struct cprof_wait_table *table)
{
	free(table->rows);
	free(table->stacks);
	free(table->frames);
	cprof_map64_deinit(&table->row_by_hash);
	cprof_map64_deinit(&table->stack_by_hash);
	*table = (struct cprof_wait_table){ 0 };
}

static uint64_t hash_frames(const struct cprof_builder_frame *frames, size_t n)
{
	uint64_t hash = n;
	for (size_t i = 0; i < n; i++)
		hash = cprof_hash_mix(cprof_hash_mix(hash, frames[i].addr), frames[i].mapping);
	return hash;
}

static bool equal_frames(const struct cprof_builder_frame *a, const struct cprof_builder_frame *b,
			 size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (a[i].addr != b[i].addr || a[i].mapping != b[i].mapping)
			return false;
	}
	return true;
}

static struct cprof_error *append_stack(struct cprof_wait_table *table, uint64_t hash,
					const struct cprof_builder_frame *frames, size_t n)
{
	struct cprof_error *err = cprof_profile_grow(&table->frames, table->n_frames,
						     &table->cap_frames, n, sizeof(*table->frames));
	if (!err)
		err = cprof_profile_grow(&table->stacks, table->n_stacks, &table->cap_stacks, 1,
					 sizeof(*table->stacks));
	if (err)
		return err;
	if (n)
		memcpy(&table->frames[table->n_frames], frames, n * sizeof(*frames));
	table->stacks[table->n_stacks++] = (struct cprof_wait_stack){
		.first = table->n_frames,
		.n = (uint32_t)n,
		.hash = hash,
	};
	table->n_frames += (uint32_t)n;
	return NULL;
}

/* Two stacks with one hash: the later one is looked for under the next number. */
static struct cprof_error *intern_stack(struct cprof_wait_table *table,
					const struct cprof_builder_frame *frames, size_t n,
					uint32_t *ret_stack)
{
	if (table->n_stacks >= CPROF_WAIT_TABLE_STACKS)
		n = 0;
	for (uint64_t hash = hash_frames(frames, n);; hash++) {
		bool is_new;
		uint64_t *index = cprof_map64_put(&table->stack_by_hash, hash, &is_new);
		if (!index)
			return cprof_error_no_memory();
		if (is_new) {
			*index = table->n_stacks;
			*ret_stack = table->n_stacks;
			return append_stack(table, hash, frames, n);
		}
		const struct cprof_wait_stack *stack = &table->stacks[*index];
		if (stack->n == n && equal_frames(&table->frames[stack->first], frames, n)) {
			*ret_stack = (uint32_t)*index;
			return NULL;
		}
	}
}

static uint64_t hash_row(const struct cprof_wait_row *row)
{
	uint64_t hash = cprof_hash_mix(row->stack, (uint64_t)row->process << 32 | row->tid);
	hash = cprof_hash_mix(hash, row->addr);
	hash = cprof_hash_mix(hash, (uint64_t)row->owner_tid << 32 | (uint32_t)row->syscall);
	return cprof_hash_mix(hash, (uint64_t)row->by_number << 1 | row->open);
}

static bool equal_rows(const struct cprof_wait_row *a, const struct cprof_wait_row *b)
{
	return a->stack == b->stack && a->process == b->process && a->tid == b->tid &&
	       a->addr == b->addr && a->owner_tid == b->owner_tid && a->syscall == b->syscall &&
	       a->by_number == b->by_number && a->open == b->open;
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
		struct cprof_error *err = cprof_profile_grow(
			&table->rows, table->n_rows, &table->cap_rows, 1, sizeof(*table->rows));
		uint64_t *slot = err ? NULL : cprof_map64_put(&table->row_by_hash, hash, NULL);
		if (!slot)
			return err ? err : cprof_error_no_memory();
		*slot = table->n_rows;
		table->rows[table->n_rows] = *want;
		*ret_row = &table->rows[table->n_rows++];
		return NULL;
	}
}

struct cprof_error *cprof_wait_table_add(struct cprof_wait_table *table, uint32_t process,
					 const struct cprof_wait *wait,
					 const struct cprof_builder_frame *frames, size_t n_frames,
					 uint32_t *ret_row)
{
	struct cprof_wait_row want = {
		.process = process,
		.tid = wait->tid,
		.owner_tid = wait->owner_tid,
		.addr = wait->addr,
		.syscall = wait->syscall,
		.by_number = cprof_wait_kind_by_number(wait),
		.open = wait->open,
	};
	if (table->n_rows >= CPROF_WAIT_TABLE_MAX) {
		want.tid = want.owner_tid = 0;
		want.addr = 0;
		table->coarse++;
	}
	struct cprof_wait_row *row;
	struct cprof_error *err = intern_stack(table, frames, n_frames, &want.stack);
	if (!err)
		err = find_row(table, &want, &row);
	if (err)
		return err;
	row->count += wait->count;
	row->delay_ns += wait->delay_ns;
	row->queue_ns += wait->queue_ns;
	if (ret_row)
		*ret_row = (uint32_t)(row - table->rows);
	return NULL;
}

struct cprof_error *cprof_wait_table_open(struct cprof_wait_table *table, uint32_t from,
					  double count, double delay_ns)
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
	return NULL;
}
