/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_account.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

struct cprof_error *cprof_baseline_account_init(struct cprof_baseline_account *account,
						struct cprof_baseline_account *before)
{
	*account = (struct cprof_baseline_account){ .before = before };
	struct cprof_error *err = cprof_intern_init(&account->texts);
	if (!err)
		err = cprof_baseline_stacks_init(&account->stacks);
	return err ? err : cprof_baseline_stacks_init(&account->growth);
}

void cprof_baseline_account_deinit(struct cprof_baseline_account *account)
{
	for (uint32_t i = 0; i < account->n_allocators; i++)
		free(account->allocators[i].untold_why);
	free(account->allocators);
	free(account->rows);
	free(account->ranges);
	cprof_map64_deinit(&account->by_hash);
	cprof_baseline_blocks_deinit(&account->blocks);
	cprof_baseline_blocks_deinit(&account->fresh_blocks);
	cprof_map64_deinit(&account->fresh);
	cprof_intern_deinit(&account->texts);
	cprof_baseline_stacks_deinit(&account->stacks);
	cprof_baseline_stacks_deinit(&account->growth);
	*account = (struct cprof_baseline_account){ 0 };
}

struct cprof_error *cprof_baseline_account_allocator(struct cprof_baseline_account *account,
						     const char *name, uint32_t *ret_allocator)
{
	if (!CPROF_ARRAY_ROOM(account->allocators, account->n_allocators, account->cap_allocators,
			      1))
		return cprof_error_no_memory();
	account->allocators[account->n_allocators] =
		(struct cprof_baseline_allocator){ .name = name };
	*ret_allocator = account->n_allocators++;
	return NULL;
}

struct cprof_error *cprof_baseline_account_untold(struct cprof_baseline_account *account,
						  uint32_t allocator, const char *fmt, ...)
{
	char **why = &account->allocators[allocator].untold_why;
	va_list args;
	if (*why)
		return NULL;
	va_start(args, fmt);
	int n = vasprintf(why, fmt, args);
	va_end(args);
	if (n >= 0)
		return NULL;
	*why = NULL;
	return cprof_error_no_memory();
}

struct cprof_error *cprof_baseline_account_range(struct cprof_baseline_account *account,
						 uint32_t allocator, uint64_t start, uint64_t end)
{
	if (!CPROF_ARRAY_ROOM(account->ranges, account->n_ranges, account->cap_ranges, 1))
		return cprof_error_no_memory();
	account->ranges[account->n_ranges++] =
		(struct cprof_baseline_range){ start, end, allocator };
	return NULL;
}

/* ---- rows ---- */

static uint64_t hash_of(const struct cprof_baseline_class *class)
{
	uint64_t hash = cprof_hash_mix(class->allocator, class->arena);
	hash = cprof_hash_mix(hash, class->type);
	return cprof_hash_mix(cprof_hash_mix(hash, class->low), class->high);
}

static bool is_same(const struct cprof_baseline_class *a, const struct cprof_baseline_class *b)
{
	return a->allocator == b->allocator && a->arena == b->arena && a->type == b->type &&
	       a->low == b->low && a->high == b->high;
}

static const struct cprof_baseline_row *find(const struct cprof_baseline_account *account,
					     const struct cprof_baseline_class *class)
{
	const uint64_t *head = cprof_map64_get(&account->by_hash, hash_of(class));
	for (uint32_t at = head ? (uint32_t)*head : 0; at; at = account->rows[at - 1].next) {
		if (is_same(&account->rows[at - 1].class, class))
			return &account->rows[at - 1];
	}
	return NULL;
}

struct cprof_error *cprof_baseline_account_row(struct cprof_baseline_account *account,
					       const struct cprof_baseline_class *class,
					       uint32_t *ret_row)
{
	const struct cprof_baseline_row *known = find(account, class);
	if (known) {
		*ret_row = (uint32_t)(known - account->rows);
		return NULL;
	}
	uint64_t *head = cprof_map64_put(&account->by_hash, hash_of(class), NULL);
	if (!head || !CPROF_ARRAY_ROOM(account->rows, account->n_rows, account->cap_rows, 1))
		return cprof_error_no_memory();
	account->rows[account->n_rows] =
		(struct cprof_baseline_row){ .class = *class, .next = (uint32_t)*head };
	*ret_row = account->n_rows++;
	*head = account->n_rows;
	return NULL;
}

static struct cprof_baseline_sum *part_of(struct cprof_baseline_account *account,
					  uint32_t allocator, enum cprof_baseline_part part)
{
	return &account->allocators[allocator].totals.parts[part];
}

/* Was it in use `before`? */
static inline bool counts(const struct cprof_baseline_account *account, uint64_t addr)
{
	uint64_t bit, *word;
	if (!account->before)
		return true;
	word = cprof_baseline_blocks_near(&account->before->blocks, addr, &bit);
	return word ? *word & bit : cprof_baseline_blocks_has(&account->before->blocks, addr);
}

static void count_fresh(struct cprof_baseline_account *account, struct cprof_baseline_row *row,
			uint64_t addr, uint64_t bytes)
{
	double weight;
	if (!account->fresh.len || !cprof_baseline_blocks_has(&account->fresh_blocks, addr))
		return;
	const uint64_t *bits = cprof_map64_get(&account->fresh, addr);
	if (!bits)
		return;
	memcpy(&weight, bits, sizeof(weight));
	row->fresh += weight;
	row->fresh_bytes += weight * (double)bytes;
}

/* *ret_fresh: it was not counted yet. */
static inline struct cprof_error *put(struct cprof_baseline_account *account, uint32_t allocator,
				      uint64_t addr, bool *ret_fresh)
{
	uint64_t bit, *word = cprof_baseline_blocks_near(&account->blocks, addr, &bit);
	if (word) {
		*ret_fresh = !(*word & bit);
		*word |= bit;
		return NULL;
	}
	struct cprof_error *err = cprof_baseline_blocks_put(&account->blocks, addr, ret_fresh);
	if (!err && account->blocks.n_pieces >= CPROF_BASELINE_PIECES_MAX)
		err = cprof_baseline_account_untold(
			account, allocator,
			"its blocks are in more memory than the 256 GiB for which they are remembered");
	return err;
}

static inline void add_to_row(struct cprof_baseline_account *account, uint32_t row, uint64_t addr,
			      uint64_t bytes)
{
	struct cprof_baseline_row *to = &account->rows[row];
	if (!counts(account, addr))
		return;
	to->objects++;
	to->bytes += bytes;
	count_fresh(account, to, addr, bytes);
}

struct cprof_error *cprof_baseline_account_block(struct cprof_baseline_account *account,
						 uint32_t row, uint64_t addr, uint64_t bytes)
{
	const uint32_t allocator = account->rows[row].class.allocator;
	bool fresh;
	struct cprof_error *err = put(account, allocator, addr, &fresh);
	if (err || !fresh)
		return err;
	cprof_baseline_account_part(account, allocator, CPROF_BASELINE_IN_USE, 1, bytes);
	add_to_row(account, row, addr, bytes);
	return NULL;
}

struct cprof_error *cprof_baseline_account_blocks(struct cprof_baseline_account *account,
						  const struct cprof_baseline_block *blocks,
						  size_t n)
{
	const uint32_t allocator = n ? account->rows[blocks[0].row].class.allocator : 0;
	uint64_t objects = 0, bytes = 0;
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < n; i++) {
		bool fresh = false;
		err = put(account, allocator, blocks[i].addr, &fresh);
		if (err || !fresh)
			continue;
		objects++;
		bytes += blocks[i].bytes;
		add_to_row(account, blocks[i].row, blocks[i].addr, blocks[i].bytes);
	}
	if (objects)
		cprof_baseline_account_part(account, allocator, CPROF_BASELINE_IN_USE, objects,
					    bytes);
	return err;
}

static void take(uint64_t *from, uint64_t n)
{
	*from -= n < *from ? n : *from;
}

bool cprof_baseline_account_unblock(struct cprof_baseline_account *account, uint32_t row,
				    uint64_t addr, uint64_t bytes, enum cprof_baseline_part part)
{
	struct cprof_baseline_row *from = &account->rows[row];
	if (!cprof_baseline_blocks_take(&account->blocks, addr))
		return false;
	struct cprof_baseline_sum *in_use =
		part_of(account, from->class.allocator, CPROF_BASELINE_IN_USE);
	take(&in_use->objects, 1);
	take(&in_use->bytes, bytes);
	cprof_baseline_account_part(account, from->class.allocator, part, 1, bytes);
	if (counts(account, addr)) {
		take(&from->objects, 1);
		take(&from->bytes, bytes);
	}
	return true;
}

struct cprof_error *cprof_baseline_account_fresh(struct cprof_baseline_account *account,
						 uint64_t addr, double weight)
{
	if (!counts(account, addr))
		return NULL;
	uint64_t *bits = cprof_map64_put(&account->fresh, addr, NULL);
	if (!bits)
		return cprof_error_no_memory();
	memcpy(bits, &weight, sizeof(weight));
	return cprof_baseline_blocks_put(&account->fresh_blocks, addr, NULL);
}

/* A weight comes from the target's memory, where anything may stand: more than there can be, or endless. */
static uint64_t whole(double number)
{
	if (!(number < 0x1p62))
		return 1ull << 62;
	return number > 0 ? (uint64_t)llround(number) : 0;
}

uint64_t cprof_baseline_account_settle(struct cprof_baseline_account *account)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < account->n_rows; i++) {
		struct cprof_baseline_row *row = &account->rows[i];
		const uint64_t bytes = row->bytes;
		take(&row->objects, whole(row->fresh));
		take(&row->bytes, whole(row->fresh_bytes));
		if (!row->objects || !row->bytes)
			row->objects = row->bytes = 0;
		sum += bytes - row->bytes;
		row->fresh = row->fresh_bytes = 0;
	}
	return sum;
}

/* The number that a text of `account` has in the other's table. */
static uint32_t text_there(const struct cprof_baseline_account *account,
			   struct cprof_baseline_account *there, uint32_t text)
{
	uint32_t number = UINT32_MAX;
	cprof_error_free(
		cprof_intern_text(&there->texts, cprof_intern_get(&account->texts, text), &number));
	return number;
}

/* The row of the same kind in the account `before`; NULL: there was none. */
static const struct cprof_baseline_row *find_before(const struct cprof_baseline_account *account,
						    const struct cprof_baseline_class *class)
{
	struct cprof_baseline_account *before = account->before;
	struct cprof_baseline_class there = *class;
	const char *name = account->allocators[class->allocator].name;
	there.arena = text_there(account, before, class->arena);
	there.type = text_there(account, before, class->type);
	for (there.allocator = 0; there.allocator < before->n_allocators; there.allocator++) {
		if (strcmp(before->allocators[there.allocator].name, name) == 0)
			return find(before, &there);
	}
	return NULL;
}

void cprof_baseline_account_count(struct cprof_baseline_account *account, uint32_t row,
				  uint64_t objects, uint64_t bytes)
{
	struct cprof_baseline_row *to = &account->rows[row];
	cprof_baseline_account_part(account, to->class.allocator, CPROF_BASELINE_IN_USE, objects,
				    bytes);
	to->objects += objects;
	to->bytes += bytes;
	if (!account->before)
		return;
	const struct cprof_baseline_row *then = find_before(account, &to->class);
	const uint64_t most_objects = then ? then->objects : 0, most = then ? then->bytes : 0;
	to->objects = to->objects < most_objects ? to->objects : most_objects;
	to->bytes = to->bytes < most ? to->bytes : most;
}

void cprof_baseline_account_part(struct cprof_baseline_account *account, uint32_t allocator,
				 enum cprof_baseline_part part, uint64_t objects, uint64_t bytes)
{
	struct cprof_baseline_sum *sum = part_of(account, allocator, part);
	sum->objects += objects;
	sum->bytes += bytes;
}

struct cprof_baseline_totals
cprof_baseline_account_totals(const struct cprof_baseline_account *account)
{
	struct cprof_baseline_totals all = { 0 };
	for (uint32_t i = 0; i < account->n_allocators; i++) {
		const struct cprof_baseline_totals *one = &account->allocators[i].totals;
		for (unsigned part = 0; part < CPROF_BASELINE_N_PARTS; part++) {
			all.parts[part].objects += one->parts[part].objects;
			all.parts[part].bytes += one->parts[part].bytes;
			all.parts[part].absent += one->parts[part].absent;
		}
		all.resyncs += one->resyncs;
		all.error_objects += one->error_objects;
		all.error_bytes += one->error_bytes;
	}
	return all;
}
