/* SPDX-License-Identifier: Apache-2.0 */
/*
 * jemalloc 5, in a library or linked into the program: blocks from its extents' descriptors (jemalloc_tree.h), less those that threads
 * keep at hand (jemalloc_cache.h). The blocks themselves are not read.
 */
#include <stdio.h>
#include <stdlib.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/baseline_spread.h"
#include "attach/heap/baseline/baseline_teller.h"
#include "attach/heap/baseline/jemalloc_cache.h"
#include "attach/heap/baseline/jemalloc_samples.h"
#include "attach/heap/baseline/jemalloc_tree.h"
#include "cprof/hash.h"

#define START_SHIFT 8 /* pages, in the set of extents that begin with them */

struct reading {
	struct cprof_baseline_teller teller;
	struct cprof_jemalloc_tree tree;
	struct cprof_jemalloc_metadata metadata;
	struct cprof_jemalloc_samples samples;
	bool has_pads;                       /* large blocks have a page more than they need */
	struct cprof_baseline_blocks starts; /* of extents, by page; 16 bytes of the set are one */
	uint64_t in_use[CPROF_JEMALLOC_CLASSES]; /* blocks of each, those in caches among them */
	uint64_t n_stray; /* pointers in caches that are no block of their size */
};

struct finding {
	struct cprof_baseline_memory *memory;
	struct cprof_jemalloc_tree tree;
};

static bool find_in(void *ctx, uint64_t start, uint64_t end)
{
	struct finding *finding = ctx;
	return cprof_jemalloc_tree_find(finding->memory, start, end, &finding->tree);
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	struct finding finding = { .memory = target->memory };
	bool found;
	struct cprof_error *err =
		cprof_baseline_each_data(target->maps, target->modules, CPROF_JEMALLOC_ROOT_LEAST,
					 find_in, &finding, &found);
	if (err || !found)
		return err;
	struct cprof_jemalloc_tree *tree = malloc(sizeof(*tree));
	if (!tree)
		return cprof_error_no_memory();
	*tree = finding.tree;
	*ret_place = tree;
	return NULL;
}

/* ---- extents ---- */

static struct cprof_error *row_of(struct reading *reading, unsigned arena, unsigned class,
				  uint32_t *ret_row)
{
	char text[32];
	const uint64_t bytes = cprof_jemalloc_class_bytes(class);
	snprintf(text, sizeof(text), "arena %u", arena);
	return cprof_baseline_teller_row(&reading->teller, (uint64_t)arena << 8 | class, text,
					 bytes, bytes, ret_row);
}

static void add_part(struct reading *reading, enum cprof_baseline_part part, uint64_t objects,
		     uint64_t bytes, uint64_t absent)
{
	cprof_baseline_teller_part(&reading->teller, part, objects, bytes, absent);
}

static struct cprof_baseline_sum *part_of(struct reading *reading, enum cprof_baseline_part part)
{
	return &cprof_baseline_teller_totals(&reading->teller)->parts[part];
}

static struct cprof_error *untold(struct reading *reading, const char *why)
{
	return cprof_baseline_account_untold(reading->teller.account, reading->teller.allocator,
					     "%s", why);
}

static void count_class(struct reading *reading, unsigned class, uint64_t n)
{
	if (class < CPROF_JEMALLOC_CLASSES)
		reading->in_use[class] += n;
}

static struct cprof_error *read_slab(struct reading *reading,
				     const struct cprof_jemalloc_extent *extent, uint64_t absent)
{
	const uint64_t bytes = cprof_jemalloc_class_bytes(extent->class);
	const uint64_t n = bytes ? extent->size / bytes : 0;
	uint64_t n_free = 0;
	uint32_t row;
	if (!bytes || extent->class >= CPROF_JEMALLOC_BINS || n > CPROF_JEMALLOC_REGIONS) {
		add_part(reading, CPROF_BASELINE_UNTOLD, 0, extent->size, absent);
		return untold(reading, "slabs of a size that jemalloc has not");
	}
	bool may;
	struct cprof_error *err = cprof_baseline_teller_may_look(&reading->teller, n, &may);
	if (err || !may) {
		add_part(reading, CPROF_BASELINE_UNTOLD, 0, extent->size, absent);
		return err;
	}
	err = row_of(reading, extent->arena, extent->class, &row);
	for (uint64_t i = 0; !err && i < n; i++) {
		const uint64_t at = extent->start + i * bytes;
		const uint64_t gone =
			absent ? cprof_baseline_teller_absent(&reading->teller, at, at + bytes) : 0;
		absent -= gone < absent ? gone : absent;
		if (extent->free[i / 64] >> i % 64 & 1) {
			n_free++;
			add_part(reading, CPROF_BASELINE_FREE, 1, bytes, gone);
			continue;
		}
		if (bytes >= 16)
			err = cprof_baseline_teller_block(&reading->teller, row, at, bytes, gone);
		else
			cprof_baseline_teller_tiny(&reading->teller, row, 1, gone);
	}
	count_class(reading, extent->class, n - n_free);
	/* The count was taken a moment before or after the bits. */
	const uint64_t differ =
		n_free > extent->n_free ? n_free - extent->n_free : extent->n_free - n_free;
	cprof_baseline_teller_totals(&reading->teller)->error_objects += differ;
	cprof_baseline_teller_totals(&reading->teller)->error_bytes += differ * bytes;
	add_part(reading, CPROF_BASELINE_OWN, 0, extent->size - n * bytes, absent);
	return err;
}

/*
 * Those of its class; since 5.3.1 whole pages by default, which are fewer. Large blocks begin somewhere in their first page, so
 * that not all of them are in the same lines of caches, unless jemalloc was built without; they have a page more for that.
 */
static uint64_t large_bytes(struct reading *reading, const struct cprof_jemalloc_extent *extent)
{
	const uint64_t bytes = cprof_jemalloc_class_bytes(extent->class);
	reading->has_pads |= extent->block % CPROF_BASELINE_PAGE != 0;
	if (extent->class < CPROF_JEMALLOC_CLASSES && bytes <= extent->size)
		return bytes;
	return extent->size -
	       (reading->has_pads && extent->size > CPROF_BASELINE_PAGE ? CPROF_BASELINE_PAGE : 0);
}

static struct cprof_error *read_large(struct reading *reading,
				      const struct cprof_jemalloc_extent *extent, uint64_t absent)
{
	uint32_t row;
	const uint64_t bytes = large_bytes(reading, extent);
	struct cprof_error *err = row_of(reading, extent->arena, extent->class, &row);
	/* It begins somewhere in its first page; what is behind it is nobody's. */
	const uint64_t own = extent->size - bytes;
	const uint64_t here = absent < own ? absent : own;
	add_part(reading, CPROF_BASELINE_OWN, 0, own, here);
	if (!err)
		err = cprof_baseline_teller_block(&reading->teller, row, extent->block, bytes,
						  absent - here);
	count_class(reading, extent->class, 1);
	return err ? err
		   : cprof_jemalloc_samples_note(&reading->samples, reading->teller.memory,
						 &reading->teller.account->stacks, extent,
						 reading->tree.form->is_5_3, bytes);
}

static struct cprof_error *on_extent(void *ctx, const struct cprof_jemalloc_extent *extent)
{
	struct reading *reading = ctx;
	const uint64_t end = extent->start + extent->size;
	const uint64_t absent = cprof_baseline_teller_absent(&reading->teller, extent->start, end);
	struct cprof_error *err = cprof_baseline_teller_range(&reading->teller, extent->start, end);
	if (!err)
		err = cprof_jemalloc_metadata_note(&reading->metadata, reading->teller.memory,
						   extent->descriptor);
	if (!err)
		err = cprof_baseline_blocks_put(&reading->starts, extent->start >> START_SHIFT,
						NULL);
	if (err)
		return err;
	switch (extent->state) {
	case CPROF_JEMALLOC_ACTIVE:
		return extent->slab ? read_slab(reading, extent, absent)
				    : read_large(reading, extent, absent);
	case CPROF_JEMALLOC_DIRTY:
	case CPROF_JEMALLOC_MUZZY:
	case CPROF_JEMALLOC_RETAINED:
		add_part(reading, CPROF_BASELINE_FREE, 1, extent->size, absent);
		return NULL;
	default:
		add_part(reading, CPROF_BASELINE_UNTOLD, 1, extent->size, absent);
		return untold(reading, "it was on its way from one list to another");
	}
}

/* ---- what threads keep, and its own ---- */

/* A block that the tree knows is no more the program's. */
static void take_out(struct reading *reading, const struct cprof_jemalloc_extent *extent,
		     uint64_t addr, enum cprof_baseline_part part)
{
	struct cprof_baseline_sum *in_use = part_of(reading, CPROF_BASELINE_IN_USE);
	const uint64_t bytes = cprof_jemalloc_class_bytes(extent->class);
	uint32_t number;
	struct cprof_error *err = row_of(reading, extent->arena, extent->class, &number);
	cprof_error_free(err);
	if (err)
		return;
	struct cprof_baseline_row *row = &reading->teller.account->rows[number];
	if (bytes >= 16 &&
	    !cprof_baseline_account_unblock(reading->teller.account, number, addr, bytes, part))
		return;
	if (bytes < 16 && row->objects) {
		row->objects--;
		row->bytes -= bytes;
		in_use->objects--;
		in_use->bytes -= bytes;
		add_part(reading, part, 1, bytes, 0);
	}
	const uint64_t gone = cprof_baseline_teller_absent(&reading->teller, addr, addr + bytes);
	const uint64_t here = gone < in_use->absent ? gone : in_use->absent;
	in_use->absent -= here;
	part_of(reading, part)->absent += here;
}

static bool find_block(struct reading *reading, uint64_t addr, struct cprof_jemalloc_extent *extent)
{
	return cprof_jemalloc_tree_at(reading->teller.memory, &reading->tree, addr, extent) &&
	       extent->state == CPROF_JEMALLOC_ACTIVE && extent->class < CPROF_JEMALLOC_CLASSES;
}

static void on_cached(void *ctx, uint64_t addr, unsigned class)
{
	struct reading *reading = ctx;
	struct cprof_jemalloc_extent extent;
	if (find_block(reading, addr, &extent) && extent.class == class)
		take_out(reading, &extent, addr, CPROF_BASELINE_CACHED);
	else
		reading->n_stray++;
}

/* A cache is somewhere in a block, behind the block's beginning. */
static bool is_start(void *ctx, uint64_t addr)
{
	struct reading *reading = ctx;
	return addr % CPROF_BASELINE_PAGE == 0 &&
	       cprof_baseline_blocks_has(&reading->starts, addr >> START_SHIFT);
}

/* Where a thread's cache keeps its pointers is a block like any other, but not the program's. */
static void on_own(void *ctx, uint64_t addr)
{
	struct reading *reading = ctx;
	struct cprof_jemalloc_extent extent;
	if (!find_block(reading, addr, &extent))
		return;
	const uint64_t bytes = cprof_jemalloc_class_bytes(extent.class);
	const uint64_t start =
		extent.slab && bytes ? addr - (addr - extent.start) % bytes : extent.block;
	take_out(reading, &extent, start, CPROF_BASELINE_OWN);
}

static struct cprof_error *read_caches(struct reading *reading)
{
	static const struct cprof_jemalloc_cache_fns fns = { on_cached, on_own, is_start };
	struct cprof_error *err = cprof_jemalloc_caches(reading->teller.memory, reading->tree.form,
							&reading->metadata, &fns, reading);
	for (uint32_t i = 0; !err && i < reading->metadata.n; i++) {
		const struct cprof_jemalloc_block *block = &reading->metadata.all[i];
		add_part(reading, CPROF_BASELINE_OWN, 0, block->end - block->start,
			 cprof_baseline_teller_absent(&reading->teller, block->start, block->end));
		err = cprof_baseline_teller_range(&reading->teller, block->start, block->end);
	}
	return err;
}

/* ---- what it has sampled itself ---- */

static struct cprof_error *add_samples(struct reading *reading)
{
	const struct cprof_jemalloc_samples *samples = &reading->samples;
	struct cprof_error *err = NULL;
	unsigned lg;
	if (reading->tree.form->is_5_3)
		cprof_jemalloc_samples_rate(samples, &lg);
	else
		cprof_jemalloc_samples_rate_of_share(samples, reading->in_use, &lg);
	for (uint32_t i = 0; !err && i < samples->n; i++) {
		const struct cprof_jemalloc_sample *sample = &samples->all[i];
		const struct cprof_baseline_sampled sampled = {
			.addr = sample->addr,
			.bytes = sample->bytes,
			.stack = samples->counts[sample->counts].stack,
			.born = sample->born,
			.age = cprof_baseline_age(sample->born),
			.weight = cprof_baseline_weight(sample->bytes, (double)(1ull << lg)),
		};
		uint32_t row;
		err = row_of(reading, sample->arena, sample->class, &row);
		if (!err)
			err = cprof_baseline_account_sampled(reading->teller.account, row,
							     &sampled);
	}
	return err;
}

static struct cprof_error *read_all(const struct cprof_baseline_target *target, void *place,
				    struct cprof_baseline_account *account)
{
	const struct cprof_jemalloc_tree *tree = place;
	struct reading reading = { .tree = *tree };
	uint64_t broken;
	struct cprof_error *err = cprof_baseline_teller_init(&reading.teller, target->memory,
							     account, cprof_baseline_jemalloc.name);
	if (!err)
		err = cprof_jemalloc_tree_each(target->memory, tree, on_extent, &reading, &broken);
	if (!err) {
		err = read_caches(&reading);
		if (!err)
			err = add_samples(&reading);
		cprof_baseline_teller_totals(&reading.teller)->resyncs += broken + reading.n_stray;
	}
	cprof_jemalloc_samples_deinit(&reading.samples);
	cprof_baseline_blocks_deinit(&reading.starts);
	cprof_baseline_teller_deinit(&reading.teller);
	cprof_jemalloc_metadata_deinit(&reading.metadata);
	return err;
}

const struct cprof_baseline_source cprof_baseline_jemalloc = {
	.name = "jemalloc",
	.find = find,
	.read = read_all,
};
