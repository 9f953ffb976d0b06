/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/heap/baseline/baseline_spread.h"

#include <math.h>

#include "base/clock.h"
#include "convert/profile/heap_age.h"

#define WEIGHT_MAX 0x1p50
#define WHOLE_MAX  0x1p62

static uint64_t whole(double number)
{
	return (uint64_t)llround(fmax(fmin(number, WHOLE_MAX), 0));
}

double cprof_baseline_weight(uint64_t bytes, double period_bytes)
{
	return period_bytes > 1 && bytes ? -1 / expm1(-(double)bytes / period_bytes) : 1;
}

uint64_t cprof_baseline_age(uint64_t born_ns)
{
	const uint64_t mono_ns = cprof_clock_mono_ns(), wall_ns = cprof_clock_wall_ns();
	if (!born_ns || born_ns > wall_ns)
		return 0;
	return cprof_heap_age_of((born_ns > mono_ns ? wall_ns : mono_ns) - born_ns) + 1;
}

/* Was this very block there before? */
static bool was_there(const struct cprof_baseline_account *account,
		      const struct cprof_baseline_sampled *sampled)
{
	if (!account->before)
		return true;
	const uint64_t *born = cprof_map64_get(&account->before->stacks.born, sampled->addr);
	return born && *born == sampled->born;
}

/* It may come out of the target's memory, where anything may stand. */
static double sound_weight(double weight)
{
	return fmax(fmin(weight, WEIGHT_MAX), 1);
}

/* Of each block once; *ret_counts: it is new. */
static struct cprof_error *note_birth(struct cprof_baseline_account *account,
				      const struct cprof_baseline_sampled *sampled,
				      bool *ret_counts)
{
	*ret_counts = false;
	if (account->stacks.born.len >= CPROF_BASELINE_SAMPLED)
		return NULL;
	uint64_t *born = cprof_map64_put(&account->stacks.born, sampled->addr, ret_counts);
	if (!born)
		return cprof_error_no_memory();
	*born = sampled->born;
	return NULL;
}

static struct cprof_error *add(struct cprof_baseline_account *account, uint32_t row,
			       const struct cprof_baseline_sampled *sampled)
{
	const struct cprof_baseline_stack_class class = { row, sampled->stack, sampled->age };
	const double weight = sound_weight(sampled->weight);
	account->rows[row].stood += weight;
	account->rows[row].stood_bytes += weight * (double)sampled->bytes;
	return cprof_baseline_stacks_add(&account->stacks, &class, sampled->bytes, weight);
}

struct cprof_error *cprof_baseline_account_sampled(struct cprof_baseline_account *account,
						   uint32_t row,
						   const struct cprof_baseline_sampled *sampled)
{
	bool counts;
	if (!cprof_baseline_blocks_has(&account->blocks, sampled->addr) ||
	    !was_there(account, sampled))
		return NULL;
	struct cprof_error *err = note_birth(account, sampled, &counts);
	return err || !counts ? err : add(account, row, sampled);
}

struct cprof_error *cprof_baseline_account_estimated(struct cprof_baseline_account *account,
						     uint32_t row,
						     const struct cprof_baseline_sampled *sampled)
{
	struct cprof_baseline_row *to = &account->rows[row];
	const double weight = sound_weight(sampled->weight);
	bool counts;
	struct cprof_error *err = note_birth(account, sampled, &counts);
	if (err || !counts)
		return err;
	cprof_baseline_account_part(account, to->class.allocator, CPROF_BASELINE_IN_USE,
				    whole(weight), whole(weight * (double)sampled->bytes));
	if (!was_there(account, sampled))
		return NULL;
	err = add(account, row, sampled);
	to->objects = whole(to->stood);
	to->bytes = whole(to->stood_bytes);
	return err;
}

/* ---- the rest ---- */

/* Of one allocator, objects or bytes. */
struct share {
	double held;  /* in use, by size classes */
	double sure;  /* of that, blocks that were sampled */
	double stood; /* estimates of stacks, the sure ones among them */
	double over;  /* what is left in classes that have more than their stacks stand for */
	double sum;   /* of what was given out, and as whole numbers */
	uint64_t whole;
};

static void share_add(struct share *share, uint64_t held, double stood)
{
	share->held += (double)held;
	share->stood += stood;
	share->over += (double)held > stood ? (double)held - stood : 0;
}

/* Rounded so that the sum of all is the rounded sum. */
static uint64_t share_out(struct share *share, double part)
{
	share->sum += part;
	const uint64_t upto = whole(share->sum), before = share->whole;
	share->whole = upto > before ? upto : before;
	return share->whole - before;
}

static uint64_t of_stack(struct share *share, uint64_t sure, double stood)
{
	const double guessed = share->stood - share->sure,
		     most = fmax(share->held - share->sure, 0);
	const double factor = guessed > most ? most / guessed : 1;
	return share_out(share, (double)sure + factor * (stood - (double)sure));
}

static uint64_t of_class(struct share *share, uint64_t held, double stood)
{
	const double rest = share->held - fmin(share->stood, share->held);
	const double over = (double)held > stood ? (double)held - stood : 0;
	return share_out(share, share->over > 0 ? over * fmin(rest / share->over, 1) : 0);
}

static void add_sure(const struct cprof_baseline_account *account, uint32_t allocator,
		     struct share *objects, struct share *bytes)
{
	for (uint32_t i = 0; i < account->stacks.n_rows; i++) {
		const struct cprof_baseline_stack_row *row = &account->stacks.rows[i];
		if (account->rows[row->class.row].class.allocator == allocator) {
			objects->sure += (double)row->sampled;
			bytes->sure += (double)row->sampled_bytes;
		}
	}
}

static void spread_stacks(struct cprof_baseline_account *account, uint32_t allocator,
			  struct share *objects, struct share *bytes)
{
	for (uint32_t i = 0; i < account->stacks.n_rows; i++) {
		struct cprof_baseline_stack_row *row = &account->stacks.rows[i];
		if (account->rows[row->class.row].class.allocator != allocator)
			continue;
		row->whole_objects = of_stack(objects, row->sampled, row->objects);
		row->whole_bytes = of_stack(bytes, row->sampled_bytes, row->bytes);
	}
}

static void spread(struct cprof_baseline_account *account, uint32_t allocator)
{
	struct share objects = { 0 }, bytes = { 0 };
	for (uint32_t i = 0; i < account->n_rows; i++) {
		const struct cprof_baseline_row *row = &account->rows[i];
		if (row->class.allocator == allocator) {
			share_add(&objects, row->objects, row->stood);
			share_add(&bytes, row->bytes, row->stood_bytes);
		}
	}
	add_sure(account, allocator, &objects, &bytes);
	spread_stacks(account, allocator, &objects, &bytes);
	for (uint32_t i = 0; i < account->n_rows; i++) {
		struct cprof_baseline_row *row = &account->rows[i];
		if (row->class.allocator == allocator) {
			row->stackless = of_class(&objects, row->objects, row->stood);
			row->stackless_bytes = of_class(&bytes, row->bytes, row->stood_bytes);
		}
	}
}

void cprof_baseline_account_spread(struct cprof_baseline_account *account)
{
	for (uint32_t i = 0; i < account->n_allocators; i++)
		spread(account, i);
}
