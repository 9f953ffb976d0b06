/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/heap_profile.h"

#include <math.h>
#include <stdlib.h>

#include "attach/heap/alloc/heap_sample.h"
#include "base/array.h"

/* More rows than this, and sizes are told apart by an eighth of a power of two only. */
#define ROWS_EXACT 100000u
#define BLOCKS_MIN 65536u
#define SPACE_MAX  (1ull << 47) /* bytes of address space that a process has */
#define VALUE_MAX  0x1p62       /* of all rows together */
#define EVERY      1u

void cprof_heap_profile_deinit(struct cprof_heap_profile *profile)
{
	free(profile->rows);
	free(profile->blocks);
	cprof_map64_deinit(&profile->by_hash);
	*profile = (struct cprof_heap_profile){ 0 };
}

double cprof_heap_probability(uint64_t size, uint64_t period)
{
	if (period & CPROF_HEAP_SAMPLE_WEIGHED) {
		const uint64_t weight = period & ~CPROF_HEAP_SAMPLE_WEIGHED;
		return size && weight > size ? (double)size / (double)weight : 1.0;
	}
	return period <= EVERY ? 1.0 : -expm1(-(double)size / (double)period);
}

/* The size that the label shows. */
static uint64_t size_class(const struct cprof_heap_profile *profile, uint64_t size)
{
	if (profile->n_rows < ROWS_EXACT || size < 16)
		return size;
	unsigned shift = 63 - (unsigned)__builtin_clzll(size) - 3;
	return (size >> shift) << shift;
}

static struct cprof_error *find_row(struct cprof_heap_profile *profile, uint32_t stack,
				    uint64_t size, uint32_t *ret_row)
{
	uint64_t *head = cprof_map64_put(&profile->by_hash, cprof_hash_mix(stack, size), NULL);
	if (!head)
		return cprof_error_no_memory();
	for (uint32_t at = (uint32_t)*head; at; at = profile->rows[at - 1].next) {
		const struct cprof_heap_row *row = &profile->rows[at - 1];
		if (row->stack == stack && row->size == size) {
			*ret_row = at - 1;
			return NULL;
		}
	}
	if (!CPROF_ARRAY_ROOM(profile->rows, profile->n_rows, profile->cap_rows, 1))
		return cprof_error_no_memory();
	profile->rows[profile->n_rows] = (struct cprof_heap_row){
		.stack = stack,
		.next = (uint32_t)*head,
		.size = size,
	};
	*ret_row = profile->n_rows++;
	*head = profile->n_rows;
	return NULL;
}

void cprof_heap_totals_count(struct cprof_heap_totals *totals, uint64_t size, uint64_t period)
{
	double p = cprof_heap_probability(size, period), bytes = (double)size;
	totals->samples++;
	totals->objects += 1 / p;
	totals->bytes += bytes / p;
	totals->variance += bytes * bytes * (1 - p) / (p * p);
}

struct cprof_error *cprof_heap_profile_add(struct cprof_heap_profile *profile, uint64_t id,
					   uint64_t size, uint64_t period, uint32_t stack)
{
	uint32_t row;
	const bool weighed = period & CPROF_HEAP_SAMPLE_WEIGHED;
	const uint64_t bytes = period & ~CPROF_HEAP_SAMPLE_WEIGHED;
	/* What cannot be: the target's memory may hold anything. */
	if (!bytes || (!size && !weighed && period > EVERY) || size > SPACE_MAX ||
	    bytes > SPACE_MAX) {
		profile->absurd++;
		return NULL;
	}
	struct cprof_error *err = find_row(profile, stack, size_class(profile, size), &row);
	if (err)
		return err;
	if (!CPROF_ARRAY_ROOM(profile->blocks, profile->n_blocks, profile->cap_blocks, 1))
		return cprof_error_no_memory();
	profile->blocks[profile->n_blocks++] = (struct cprof_heap_block){
		.id = id,
		.period = period,
		.row = row,
		.size = size,
		.born_ticks = (uint32_t)(profile->now_ns / CPROF_HEAP_TICK_NS)
	};
	cprof_heap_totals_count(&profile->rows[row].alloc, size, period);
	cprof_heap_totals_count(&profile->alloc, size, period);
	if (!weighed && (!profile->period_min || period < profile->period_min))
		profile->period_min = period;
	if (!weighed && period > profile->period_max)
		profile->period_max = period;
	return NULL;
}

bool cprof_heap_profile_crowded(const struct cprof_heap_profile *profile)
{
	return profile->n_blocks > BLOCKS_MIN && profile->n_blocks > profile->sweep_at;
}

void cprof_heap_profile_forget(struct cprof_heap_profile *profile, const struct cprof_map64 *alive)
{
	size_t kept = 0;
	for (size_t i = 0; i < profile->n_blocks; i++) {
		if (cprof_map64_get(alive, profile->blocks[i].id))
			profile->blocks[kept++] = profile->blocks[i];
	}
	profile->n_blocks = kept;
	profile->sweep_at = kept * 2;
}

void cprof_heap_profile_settle(struct cprof_heap_profile *profile, const struct cprof_map64 *alive)
{
	cprof_heap_profile_forget(profile, alive);
	profile->inuse = (struct cprof_heap_totals){ 0 };
	for (uint32_t i = 0; i < profile->n_rows; i++)
		profile->rows[i].inuse = (struct cprof_heap_totals){ 0 };
	for (size_t i = 0; i < profile->n_blocks; i++) {
		const struct cprof_heap_block *block = &profile->blocks[i];
		cprof_heap_totals_count(&profile->rows[block->row].inuse, block->size,
					block->period);
		cprof_heap_totals_count(&profile->inuse, block->size, block->period);
	}
}

bool cprof_heap_profile_plausible(const struct cprof_heap_profile *profile)
{
	return !profile->absurd &&
	       profile->inuse.bytes - cprof_heap_error95(&profile->inuse) <= (double)SPACE_MAX;
}

int64_t cprof_heap_value(double sum, double whole)
{
	double share = whole > VALUE_MAX ? sum / whole * VALUE_MAX : sum;
	return share > 0 ? llround(share) : 0;
}

double cprof_heap_error95(const struct cprof_heap_totals *totals)
{
	return 1.96 * sqrt(totals->variance);
}
