/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/inject/heap_reader.h"

#include <stdlib.h>
#include <string.h>

#include "attach/heap/inject/heap_threads.h"
#include "attach/target/target_spans.h"
#include "base/cleanup.h"

#define LIVE_CHUNK 16384u       /* entries read at once */
#define ROUND      16u          /* cells handed over at once */
#define COUNT_MAX  (1ull << 44) /* calls: hours of all processors doing nothing else */
#define BYTES_MAX  (1ull << 60) /* in sum, of samples that were lost */

#define AT(pages, member) ((pages)->data + offsetof(struct cprof_shim_data, member))

struct cprof_error *cprof_heap_reader_init(struct cprof_heap_reader *reader,
					   struct cprof_heap_pages *pages)
{
	*reader = (struct cprof_heap_reader){ .pages = pages };
	reader->cells = calloc(CPROF_SHIM_CELLS, sizeof(*reader->cells));
	reader->stacks = malloc((size_t)ROUND * CPROF_SHIM_STACK_BYTES);
	return reader->cells && reader->stacks ? NULL : cprof_error_no_memory();
}

void cprof_heap_reader_deinit(struct cprof_heap_reader *reader)
{
	for (size_t i = 0; reader->kept && i < CPROF_SHIM_CELLS; i++)
		free(reader->kept[i]);
	free(reader->kept);
	free(reader->cells);
	free(reader->stacks);
	*reader = (struct cprof_heap_reader){ 0 };
}

/* Counts only grow, and none can have come far; a lie ends here, before it is added to anything. */
static bool is_true(const struct cprof_heap_reader *reader, const struct cprof_shim_control *now)
{
	const struct cprof_shim_control *was = &reader->control;
	return now->ticket >= was->ticket && now->ticket <= COUNT_MAX && now->lost >= was->lost &&
	       now->lost <= COUNT_MAX && now->lost_bytes >= was->lost_bytes &&
	       now->lost_bytes <= BYTES_MAX && now->table_full >= was->table_full &&
	       now->table_full <= COUNT_MAX && now->nested >= was->nested &&
	       now->nested <= COUNT_MAX;
}

/* Only a process that still holds our data is written to: after an exec the same address may be anything. */
static bool read_control(struct cprof_heap_reader *reader)
{
	const struct cprof_heap_pages *pages = reader->pages;
	struct cprof_shim_control control;
	if (reader->over || !pages->data_mapped ||
	    !cprof_heap_pages_read(pages, AT(pages, control), &control, sizeof(control)) ||
	    control.magic != pages->nonce) {
		reader->over = true;
		return false;
	}
	reader->odd += !is_true(reader, &control);
	if (!is_true(reader, &control)) {
		/* What it counts is not believed; what it is set to is written anew by us where it matters. */
		control.ticket = reader->control.ticket;
		control.lost = reader->control.lost;
		control.lost_bytes = reader->control.lost_bytes;
		control.table_full = reader->control.table_full;
		control.nested = reader->control.nested;
	}
	reader->control = control;
	return true;
}

static void write_word(const struct cprof_heap_reader *reader, uint64_t addr, uint64_t word)
{
	cprof_heap_pages_write(reader->pages, addr, &word, sizeof(word));
}

/* A dormant countdown is begun at CPROF_SHIM_DORMANT: what it has lost went by. None can have lost much more than memory. */
static void tally(struct cprof_heap_reader *reader, const struct cprof_shim_slot *slot)
{
	const uint64_t bytes =
		slot->left <= CPROF_SHIM_DORMANT ? CPROF_SHIM_DORMANT - slot->left : 0;
	reader->odd += bytes > BYTES_MAX;
	if (bytes <= BYTES_MAX && reader->slept_bytes <= BYTES_MAX)
		reader->slept_bytes += bytes;
}

/*
 * We were slow and it stopped counting on us. What has gone by meanwhile is added up; where sampling goes on (`again`)
 * every thread's countdown is begun afresh.
 */
static void end_sleep(struct cprof_heap_reader *reader, bool again)
{
	const struct cprof_heap_pages *pages = reader->pages;
	reader->slept++;
	if (again)
		write_word(reader, AT(pages, control.enabled), 1);
	for (size_t i = 0; i < 1u << CPROF_SHIM_SLOTS_LOG2; i++) {
		struct cprof_shim_slot slot;
		uint64_t addr = AT(pages, slots) + i * sizeof(slot);
		if (cprof_heap_pages_read(pages, addr, &slot, sizeof(slot)) &&
		    (slot.key || i == 0) && slot.left > CPROF_SHIM_DORMANT / 2) {
			tally(reader, &slot);
			if (!again)
				continue;
			/* 1 sets off a sample that belongs to no gap: without a period the thread finds itself new. */
			write_word(reader, addr + offsetof(struct cprof_shim_slot, period), 0);
			write_word(reader, addr + offsetof(struct cprof_shim_slot, left), 0);
		}
	}
}

/* The fields of the slot at `addr` that tell of its thread's stack: what says that they hold goes last. */
static void put_stack(const struct cprof_heap_reader *reader, uint64_t addr,
		      const struct cprof_heap_stack *stack)
{
	struct cprof_shim_slot slot = { 0 };
	const uint64_t end_at = addr + offsetof(struct cprof_shim_slot, stack_end);
	const size_t from = offsetof(struct cprof_shim_slot, record);
	cprof_heap_pages_enter_stack(&slot, stack);
	write_word(reader, end_at, 0);
	write_word(reader, addr + offsetof(struct cprof_shim_slot, stack_start), slot.stack_start);
	cprof_heap_pages_write(reader->pages, addr + from, (const uint8_t *)&slot + from,
			       3 * sizeof(uint64_t));
	write_word(reader, end_at, slot.stack_end);
}

/* The shim copied to the end of a page because it did not know the stack. If it is a thread's own, tell it. */
static void teach(struct cprof_heap_reader *reader, const struct cprof_shim_cell *cell)
{
	const struct cprof_heap_pages *pages = reader->pages;
	const uint64_t mask = (1u << CPROF_SHIM_SLOTS_LOG2) - 1;
	struct cprof_heap_stack stack;
	if (!cell->bounded ||
	    !cprof_heap_threads_stack(pages->maps, cell->sp, cell->thread_pointer, &stack))
		return;
	uint64_t at = cell->thread_pointer * CPROF_SHIM_HASH >> (64 - CPROF_SHIM_SLOTS_LOG2);
	for (uint64_t i = 0; i < 8; i++) {
		uint64_t addr =
			AT(pages, slots) + ((at + i) & mask) * sizeof(struct cprof_shim_slot);
		struct cprof_shim_slot slot;
		if (!cprof_heap_pages_read(pages, addr, &slot, sizeof(slot)))
			return;
		if (slot.key != cell->thread_pointer)
			continue;
		put_stack(reader, addr, &stack);
		return;
	}
}

static uint64_t stack_at(const struct cprof_heap_reader *reader, size_t index)
{
	return AT(reader->pages, stacks) + index * CPROF_SHIM_STACK_BYTES;
}

static void read_stack(struct cprof_heap_reader *reader, size_t index, uint8_t *to)
{
	struct cprof_shim_cell *cell = &reader->cells[index];
	reader->odd += cprof_shim_copied(cell) > CPROF_SHIM_STACK_BYTES;
	if (cprof_shim_copied(cell) > CPROF_SHIM_STACK_BYTES ||
	    !cprof_heap_pages_read(reader->pages, stack_at(reader, index), to,
				   cprof_shim_copied(cell)))
		cell->stack_bytes = cell->other_bytes = 0;
}

struct order {
	uint64_t id;
	size_t index;
};

static int by_id(const void *a_, const void *b_)
{
	const struct order *a = a_, *b = b_;
	return a->id < b->id ? -1 : a->id > b->id;
}

/* The cells that are ready, as they are in reader->cells. */
static size_t sort_ready(const struct cprof_heap_reader *reader, struct order *ready)
{
	size_t n = 0;
	for (size_t i = 0; i < CPROF_SHIM_CELLS; i++) {
		if (reader->cells[i].state == CPROF_SHIM_CELL_READY)
			ready[n++] = (struct order){ reader->cells[i].id, i };
	}
	qsort(ready, n, sizeof(ready[0]), by_id);
	return n;
}

static bool read_cells(struct cprof_heap_reader *reader, size_t n)
{
	return cprof_heap_pages_read(reader->pages, AT(reader->pages, cells), reader->cells,
				     n * sizeof(*reader->cells));
}

/* How many samples are on their way to us, in cells. */
static uint64_t outstanding(const struct cprof_heap_reader *reader)
{
	uint64_t gone = reader->control.lost + reader->handed;
	return reader->control.ticket > gone ? reader->control.ticket - gone : 0;
}

/* As many as are expected are found among the first cells, most often; a few may not be ready yet. */
static size_t find_ready(struct cprof_heap_reader *reader, uint64_t expected, struct order *ready)
{
	size_t n = read_cells(reader, CPROF_SHIM_NEAR) ? sort_ready(reader, ready) : 0;
	if (n < expected)
		n = read_cells(reader, CPROF_SHIM_CELLS) ? sort_ready(reader, ready) : 0;
	return n;
}

struct cprof_error *cprof_heap_reader_keep(struct cprof_heap_reader *reader)
{
	if (reader->kept || !read_control(reader) || !read_cells(reader, CPROF_SHIM_CELLS))
		return NULL;
	if (!reader->control.enabled && !reader->tallied)
		end_sleep(reader, false);
	reader->tallied = true;
	reader->kept = calloc(CPROF_SHIM_CELLS, sizeof(*reader->kept));
	if (!reader->kept)
		return cprof_error_no_memory();
	for (size_t i = 0; i < CPROF_SHIM_CELLS; i++) {
		struct cprof_shim_cell *cell = &reader->cells[i];
		if (cell->state != CPROF_SHIM_CELL_READY)
			continue;
		if (cprof_shim_copied(cell) > CPROF_SHIM_STACK_BYTES)
			cell->stack_bytes = cell->other_bytes = 0;
		reader->kept[i] = malloc(cprof_shim_copied(cell) + 1);
		if (!reader->kept[i])
			return cprof_error_no_memory();
		read_stack(reader, i, reader->kept[i]);
	}
	return NULL;
}

struct cprof_error *cprof_heap_reader_kept(struct cprof_heap_reader *reader,
					   cprof_heap_sample_fn *fn, void *ctx)
{
	struct order ready[CPROF_SHIM_CELLS];
	size_t n = reader->kept ? sort_ready(reader, ready) : 0;
	for (size_t i = 0; i < n; i++) {
		size_t index = ready[i].index;
		struct cprof_error *err = fn(ctx, &reader->cells[index], reader->kept[index]);
		if (err)
			return err;
	}
	return NULL;
}

/* The stacks of up to ROUND cells, in one system call if none of them is odd. */
static void read_stacks(struct cprof_heap_reader *reader, const struct order *ready, size_t n)
{
	struct cprof_target_span spans[ROUND];
	bool odd = false;
	for (size_t i = 0; i < n; i++) {
		const size_t index = ready[i].index;
		const uint64_t bytes = cprof_shim_copied(&reader->cells[index]);
		odd = odd || bytes > CPROF_SHIM_STACK_BYTES;
		spans[i] = (struct cprof_target_span){ stack_at(reader, index),
						       reader->stacks + i * CPROF_SHIM_STACK_BYTES,
						       bytes };
	}
	if (!odd && cprof_target_spans_read(reader->pages->target, spans, n))
		return;
	for (size_t i = 0; i < n; i++)
		read_stack(reader, ready[i].index, reader->stacks + i * CPROF_SHIM_STACK_BYTES);
}

static void give_back(struct cprof_heap_reader *reader, const struct order *ready, size_t n)
{
	struct cprof_target_span spans[ROUND];
	uint32_t free_state = CPROF_SHIM_CELL_FREE;
	for (size_t i = 0; i < n; i++) {
		const size_t index = ready[i].index;
		reader->cells[index].state = CPROF_SHIM_CELL_FREE;
		spans[i] = (struct cprof_target_span){ AT(reader->pages, cells) +
							       index * sizeof(*reader->cells),
						       &free_state, sizeof(free_state) };
	}
	cprof_target_spans_write(reader->pages->target, spans, n);
	reader->handed += n;
}

/* At most ROUND of them. They are given back whatever `fn` says. */
static struct cprof_error *hand_over(struct cprof_heap_reader *reader, const struct order *ready,
				     size_t n, cprof_heap_sample_fn *fn, void *ctx)
{
	struct cprof_error *err = NULL;
	struct cprof_heap_pages *pages = reader->pages;
	read_stacks(reader, ready, n);
	for (size_t i = 0; !err && i < n; i++) {
		const struct cprof_shim_cell *cell = &reader->cells[ready[i].index];
		const uint8_t *stack = reader->stacks + i * CPROF_SHIM_STACK_BYTES;
		err = fn(ctx, cell, stack);
		teach(reader, cell);
		if (cprof_heap_lasting_learn(&pages->lasting, pages->maps, cell, stack))
			cprof_heap_pages_tell_lasting(pages);
	}
	give_back(reader, ready, n);
	return err;
}

struct cprof_error *cprof_heap_reader_poll(struct cprof_heap_reader *reader,
					   cprof_heap_sample_fn *fn, void *ctx, size_t *ret_samples)
{
	const struct cprof_heap_pages *pages = reader->pages;
	struct order ready[CPROF_SHIM_CELLS];

	*ret_samples = 0;
	if (!read_control(reader))
		return NULL;
	if (!reader->control.enabled)
		end_sleep(reader, true);
	if (reader->control.full_streak)
		write_word(reader, AT(pages, control.full_streak), 0);
	const uint64_t expected = outstanding(reader);
	const size_t n = expected ? find_ready(reader, expected, ready) : 0;
	while (*ret_samples < n) {
		const size_t left = n - *ret_samples, some = left < ROUND ? left : ROUND;
		struct cprof_error *err = hand_over(reader, ready + *ret_samples, some, fn, ctx);
		if (err)
			return err;
		*ret_samples += some;
	}
	return NULL;
}

struct cprof_error *cprof_heap_reader_live(struct cprof_heap_reader *reader,
					   struct cprof_map64 *ret_ids)
{
	const struct cprof_heap_pages *pages = reader->pages;
	CPROF_AUTO(free)
	struct cprof_shim_live *live = malloc(LIVE_CHUNK * sizeof(*live));
	if (!live)
		return cprof_error_no_memory();
	/* Of blocks that we were not told of yet there are as many as cells: no cell is used again but by us. */
	const uint64_t most = reader->handed + 2ull * CPROF_SHIM_CELLS;
	uint64_t n = 0;
	for (uint64_t at = 0; at < pages->size.live_entries; at += LIVE_CHUNK) {
		if (!cprof_heap_pages_read(pages, AT(pages, live) + at * sizeof(*live), live,
					   LIVE_CHUNK * sizeof(*live)))
			return NULL;
		for (size_t i = 0; i < LIVE_CHUNK; i++) {
			bool is_new;
			if (live[i].ptr <= 1)
				continue;
			if (n > most) {
				reader->odd++;
				return NULL;
			}
			if (!cprof_map64_put(ret_ids, live[i].id, &is_new))
				return cprof_error_no_memory();
			n += is_new;
		}
	}
	return NULL;
}

void cprof_heap_reader_set_period(struct cprof_heap_reader *reader, uint64_t period)
{
	if (read_control(reader))
		write_word(reader, AT(reader->pages, control.period), period);
}
