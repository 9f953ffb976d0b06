/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gperftools' tcmalloc, in its library or linked into the program: blocks from its spans (tcmalloc_spans.h), less those in caches
 * (tcmalloc_caches.h).
 */
#include <stdlib.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/baseline_spread.h"
#include "attach/heap/baseline/baseline_teller.h"
#include "attach/heap/baseline/tcmalloc_caches.h"
#include "attach/heap/baseline/tcmalloc_spans.h"
#include "attach/heap/baseline/tcmalloc_stacks.h"

struct reading {
	struct cprof_baseline_teller teller;
	const struct cprof_tcmalloc *tcmalloc;
	uint64_t free[CPROF_TCMALLOC_BLOCKS / 64];
	struct cprof_baseline_blocks
		cached; /* blocks in caches; of 8 bytes, which share bits, their number:  */
	uint64_t tiny_cached;
	uint64_t broken;
	struct cprof_maps *maps;
	uint64_t rate; /* mean number of bytes between two samples; 0: not known */
};

static bool find_in(void *ctx, uint64_t start, uint64_t end)
{
	void *const *both = ctx;
	return cprof_tcmalloc_find(both[0], start, end, both[1]);
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	struct cprof_tcmalloc *tcmalloc = malloc(sizeof(*tcmalloc));
	void *both[] = { target->memory, tcmalloc };
	bool found = false;
	if (!tcmalloc)
		return cprof_error_no_memory();
	struct cprof_error *err = cprof_baseline_each_data(
		target->maps, target->modules, CPROF_TCMALLOC_ROOT_BYTES, find_in, both, &found);
	if (err || !found)
		free(tcmalloc);
	else
		*ret_place = tcmalloc;
	return err;
}

/* ---- spans ---- */

static struct cprof_error *row_of(struct reading *reading, unsigned class, uint64_t bytes,
				  uint32_t *ret_row)
{
	if (!class)
		return cprof_baseline_teller_large_row(&reading->teller, bytes, ret_row);
	return cprof_baseline_teller_row(&reading->teller, class, NULL, bytes, bytes, ret_row);
}

static void add_part(struct reading *reading, enum cprof_baseline_part part, uint64_t objects,
		     uint64_t bytes, uint64_t absent)
{
	cprof_baseline_teller_part(&reading->teller, part, objects, bytes, absent);
}

/* Which blocks of 8 bytes are in caches is not known, but how many are. */
static struct cprof_error *read_tiny(struct reading *reading,
				     const struct cprof_tcmalloc_span *span, uint64_t absent,
				     unsigned n_free)
{
	uint32_t row;
	const uint64_t n = span->bytes / 8, n_used = n - n_free;
	const uint64_t left = reading->tiny_cached < n_used ? reading->tiny_cached : n_used;
	reading->tiny_cached -= left;
	struct cprof_error *err = row_of(reading, span->class, 8, &row);
	if (err)
		return err;
	cprof_baseline_teller_tiny(&reading->teller, row, n_used - left, 0);
	add_part(reading, CPROF_BASELINE_CACHED, left, left * 8, 0);
	add_part(reading, CPROF_BASELINE_FREE, n_free, n_free * 8ull,
		 absent < n_free * 8ull ? absent : n_free * 8ull);
	return NULL;
}

static struct cprof_error *read_blocks(struct reading *reading,
				       const struct cprof_tcmalloc_span *span, uint64_t absent)
{
	const uint64_t bytes = reading->tcmalloc->bytes[span->class], n = span->bytes / bytes;
	uint32_t row;
	bool may;
	struct cprof_error *err = cprof_baseline_teller_may_look(&reading->teller, n, &may);
	if (err || !may) {
		add_part(reading, CPROF_BASELINE_UNTOLD, 0, span->bytes, absent);
		return err;
	}
	err = row_of(reading, span->class, bytes, &row);
	for (uint64_t i = 0; !err && i < n; i++) {
		const uint64_t at = span->start + i * bytes;
		const uint64_t gone =
			absent ? cprof_baseline_teller_absent(&reading->teller, at, at + bytes) : 0;
		absent -= gone < absent ? gone : absent;
		if (reading->free[i / 64] >> i % 64 & 1) {
			add_part(reading, CPROF_BASELINE_FREE, 1, bytes, gone);
		} else if (cprof_baseline_blocks_has(&reading->cached, at)) {
			add_part(reading, CPROF_BASELINE_CACHED, 1, bytes, gone);
		} else {
			err = cprof_baseline_teller_block(&reading->teller, row, at, bytes, gone);
		}
	}
	add_part(reading, CPROF_BASELINE_OWN, 0, span->bytes - n * bytes, absent);
	return err;
}

static struct cprof_error *read_small(struct reading *reading,
				      const struct cprof_tcmalloc_span *span, uint64_t absent)
{
	struct cprof_baseline_totals *totals = cprof_baseline_teller_totals(&reading->teller);
	const uint64_t bytes = reading->tcmalloc->bytes[span->class];
	unsigned n_free;
	if (!cprof_tcmalloc_span_free(reading->teller.memory, reading->tcmalloc, span,
				      reading->free, &n_free)) {
		reading->broken++;
		totals->error_objects += span->n_used;
		totals->error_bytes += span->n_used * bytes;
		add_part(reading, CPROF_BASELINE_UNTOLD, 0, span->bytes, absent);
		return cprof_baseline_account_untold(
			reading->teller.account, reading->teller.allocator,
			"lists of free blocks changed while they were read");
	}
	/* The count was taken a moment before or after the list. */
	const uint64_t n_used = span->bytes / bytes - n_free;
	const uint64_t differ =
		n_used > span->n_used ? n_used - span->n_used : span->n_used - n_used;
	totals->error_objects += differ;
	totals->error_bytes += differ * bytes;
	return bytes < 16 ? read_tiny(reading, span, absent, n_free)
			  : read_blocks(reading, span, absent);
}

/* Of blocks of the size that was asked for; 0: large. */
static unsigned class_of(const struct cprof_tcmalloc *tcmalloc, uint64_t bytes)
{
	for (unsigned i = 1; i < tcmalloc->n_classes; i++) {
		if (tcmalloc->bytes[i] >= bytes)
			return i;
	}
	return 0;
}

/* A sampled block has pages of its own; what it stands for are blocks in spans of their class. */
static struct cprof_error *read_sampled(struct reading *reading,
					const struct cprof_tcmalloc_span *span)
{
	struct cprof_baseline_account *account = reading->teller.account;
	struct cprof_tcmalloc_stack stack;
	if (!span->sampled || !reading->rate ||
	    !cprof_tcmalloc_stack_read(reading->teller.memory, reading->maps, span->objects,
				       &stack))
		return NULL;
	const unsigned class = class_of(reading->tcmalloc, stack.bytes);
	uint32_t row;
	struct cprof_baseline_sampled sampled = {
		.addr = span->start,
		.bytes = class ? reading->tcmalloc->bytes[class] : span->bytes,
		.born = span->objects,
		.weight = cprof_baseline_weight(stack.bytes, (double)reading->rate),
	};
	struct cprof_error *err = row_of(reading, class, span->bytes, &row);
	if (!err)
		err = cprof_baseline_stacks_number(&account->stacks, stack.addrs, stack.n,
						   &sampled.stack);
	return err ? err : cprof_baseline_account_sampled(account, row, &sampled);
}

static struct cprof_error *on_span(void *ctx, const struct cprof_tcmalloc_span *span)
{
	struct reading *reading = ctx;
	const uint64_t end = span->start + span->bytes;
	const uint64_t absent = cprof_baseline_teller_absent(&reading->teller, span->start, end);
	uint32_t row;
	struct cprof_error *err = cprof_baseline_teller_range(&reading->teller, span->start, end);
	if (err)
		return err;
	if (span->use != CPROF_TCMALLOC_IN_USE) {
		add_part(reading, CPROF_BASELINE_FREE, 1, span->bytes, absent);
		return NULL;
	}
	if (span->class)
		return read_small(reading, span, absent);
	err = row_of(reading, 0, span->bytes, &row);
	if (!err)
		err = cprof_baseline_teller_block(&reading->teller, row, span->start, span->bytes,
						  absent);
	return err ? err : read_sampled(reading, span);
}

static struct cprof_error *on_leaf(void *ctx, uint64_t start, uint64_t end)
{
	struct reading *reading = ctx;
	add_part(reading, CPROF_BASELINE_OWN, 0, end - start,
		 cprof_baseline_teller_absent(&reading->teller, start, end));
	return cprof_baseline_teller_range(&reading->teller, start, end);
}

static struct cprof_error *on_cached(void *ctx, uint64_t addr, unsigned class)
{
	struct reading *reading = ctx;
	if (reading->tcmalloc->bytes[class] < 16) {
		reading->tiny_cached++;
		return NULL;
	}
	return cprof_baseline_blocks_put(&reading->cached, addr, NULL);
}

static struct cprof_error *on_growth(void *ctx, const struct cprof_tcmalloc_stack *stack)
{
	struct reading *reading = ctx;
	struct cprof_baseline_stacks *growth = &reading->teller.account->growth;
	struct cprof_baseline_stack_class class = { .row = reading->teller.allocator };
	struct cprof_error *err =
		cprof_baseline_stacks_number(growth, stack->addrs, stack->n, &class.stack);
	return err ? err : cprof_baseline_stacks_add(growth, &class, stack->bytes, 1);
}

/* What there is to know before spans are read, and the stacks that no span leads to. */
static struct cprof_error *read_stacks(struct reading *reading,
				       const struct cprof_baseline_target *target)
{
	reading->maps = target->maps;
	struct cprof_error *err =
		cprof_tcmalloc_rate(target->memory, target->maps, target->modules, &reading->rate);
	return err ? err
		   : cprof_tcmalloc_growth_each(target->memory, target->maps, reading->tcmalloc,
						on_growth, reading);
}

static struct cprof_error *read_all(const struct cprof_baseline_target *target, void *place,
				    struct cprof_baseline_account *account)
{
	static const struct cprof_tcmalloc_fns fns = { on_span, on_leaf };
	struct reading *reading = calloc(1, sizeof(*reading));
	unsigned caches = 0;
	uint64_t broken = 0;
	if (!reading)
		return cprof_error_no_memory();
	reading->tcmalloc = place;
	struct cprof_error *err = cprof_baseline_teller_init(
		&reading->teller, target->memory, account, cprof_baseline_gperftools.name);
	if (!err)
		err = read_stacks(reading, target);
	if (!err)
		err = cprof_tcmalloc_caches_each(target->memory, place, on_cached, reading,
						 &caches);
	if (!err)
		err = cprof_tcmalloc_spans(target->memory, place, &fns, reading, &broken);
	if (!err && (!caches || !reading->tcmalloc->central))
		err = cprof_baseline_account_untold(
			account, reading->teller.allocator,
			"what its threads keep at hand was not found and counts as in use");
	if (!err)
		cprof_baseline_teller_totals(&reading->teller)->resyncs += broken + reading->broken;
	cprof_baseline_blocks_deinit(&reading->cached);
	cprof_baseline_teller_deinit(&reading->teller);
	free(reading);
	return err;
}

const struct cprof_baseline_source cprof_baseline_gperftools = {
	.name = "tcmalloc (gperftools)",
	.find = find,
	.read = read_all,
};
