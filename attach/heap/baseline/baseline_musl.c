/* SPDX-License-Identifier: Apache-2.0 */
/*
 * musl's malloc (mallocng), in its library or linked into a static program: each block from the group it is in (musl_groups.h).
 * Usable are exactly the bytes that were asked for, as malloc_usable_size has it; the slot's rest is the allocator's own.
 */
#include <stdlib.h>

#include "attach/heap/baseline/baseline_data.h"
#include "attach/heap/baseline/baseline_source.h"
#include "attach/heap/baseline/baseline_teller.h"
#include "attach/heap/baseline/musl_groups.h"
#include "cprof/hash.h"

#define CONTEXT_BYTES 1024 /* more than it has: no smaller segment has one */

#define HELD  (1ull << 63) /* by a slot of another group */
#define READ  (1ull << 62)
#define BYTES (READ - 1)

struct reading {
	struct cprof_baseline_teller teller;
	struct cprof_map64 inner; /* groups that are no mapping: address -> bytes, and: */
	uint64_t broken;
	bool whole; /* all pages of the group that is read are in memory */
};

struct finding {
	struct cprof_baseline_memory *memory;
	struct cprof_musl_context context;
};

static bool find_in(void *ctx, uint64_t start, uint64_t end)
{
	struct finding *finding = ctx;
	return cprof_musl_context_find(finding->memory, start, end, &finding->context);
}

static struct cprof_error *find(const struct cprof_baseline_target *target, void **ret_place)
{
	struct finding finding = { .memory = target->memory };
	bool found;
	struct cprof_error *err = cprof_baseline_each_data(
		target->maps, target->modules, CONTEXT_BYTES, find_in, &finding, &found);
	if (err || !found)
		return err;
	struct cprof_musl_context *context = malloc(sizeof(*context));
	if (!context)
		return cprof_error_no_memory();
	*context = finding.context;
	*ret_place = context;
	return NULL;
}

/* ---- rows ---- */

static struct cprof_error *row_of(struct reading *reading, unsigned class, uint64_t bytes,
				  uint32_t *ret_row)
{
	if (class >= CPROF_MUSL_CLASSES)
		return cprof_baseline_teller_large_row(&reading->teller, bytes, ret_row);
	return cprof_baseline_teller_row(&reading->teller, class, NULL,
					 class ? cprof_musl_stride(class - 1) - 3 : 0,
					 cprof_musl_stride(class) - 4, ret_row);
}

static uint64_t absent_of(struct reading *reading, uint64_t start, uint64_t end)
{
	return reading->whole ? 0 : cprof_baseline_teller_absent(&reading->teller, start, end);
}

static void add_part(struct reading *reading, enum cprof_baseline_part part, uint64_t objects,
		     uint64_t start, uint64_t end)
{
	cprof_baseline_teller_part(&reading->teller, part, objects, end - start,
				   absent_of(reading, start, end));
}

/* ---- groups ---- */

static struct cprof_error *note_inner(void *ctx, const struct cprof_musl_group *group)
{
	struct reading *reading = ctx;
	if (group->mapped)
		return NULL;
	uint64_t *bytes = cprof_map64_put(&reading->inner, group->addr, NULL);
	if (!bytes)
		return cprof_error_no_memory();
	*bytes = group->bytes;
	return NULL;
}

static struct cprof_error *note_area(void *ctx, uint64_t start, uint64_t end)
{
	struct reading *reading = ctx;
	reading->whole = true; /* it was read */
	add_part(reading, CPROF_BASELINE_OWN, 0, start, end);
	return cprof_baseline_teller_range(&reading->teller, start, end);
}

static struct cprof_error *no_area(void *ctx, uint64_t start, uint64_t end)
{
	(void)ctx;
	(void)start;
	(void)end;
	return NULL;
}

/* A slot of which the group inside tells most. */
static void read_outer(struct reading *reading, const struct cprof_musl_block *block,
		       uint64_t start, uint64_t end)
{
	uint64_t *bytes = cprof_map64_get(&reading->inner, block->addr);
	add_part(reading, CPROF_BASELINE_OWN, 0, start, block->addr);
	if (!bytes || (*bytes & BYTES) > end - block->addr || *bytes & HELD) {
		add_part(reading, CPROF_BASELINE_UNTOLD, 0, block->addr, end);
		reading->broken++;
		return;
	}
	add_part(reading, CPROF_BASELINE_OWN, 0, block->addr + (*bytes & BYTES), end);
	*bytes |= HELD;
}

static struct cprof_error *read_slot(struct reading *reading, const struct cprof_musl_group *group,
				     unsigned i)
{
	struct cprof_musl_block block;
	uint32_t row;
	const uint64_t start = group->addr + 16 + group->stride * i, end = start + group->stride;
	if (!(group->in_use >> i & 1)) {
		add_part(reading, CPROF_BASELINE_FREE, 1, start, end);
		return NULL;
	}
	if (!cprof_musl_block_read(reading->teller.memory, group, i, &block)) {
		add_part(reading, CPROF_BASELINE_UNTOLD, 1, start, end);
		reading->broken++;
		return NULL;
	}
	if (block.is_group) {
		read_outer(reading, &block, start, end);
		return NULL;
	}
	struct cprof_error *err = row_of(reading, group->class, block.bytes, &row);
	const uint64_t block_end = block.addr + block.bytes;
	if (!err)
		err = cprof_baseline_teller_block(&reading->teller, row, block.addr, block.bytes,
						  absent_of(reading, block.addr, block_end));
	add_part(reading, CPROF_BASELINE_OWN, 0, start, block.addr);
	add_part(reading, CPROF_BASELINE_OWN, 0, block_end, end);
	return err;
}

static struct cprof_error *read_group(void *ctx, const struct cprof_musl_group *group)
{
	struct reading *reading = ctx;
	struct cprof_error *err = NULL;
	uint64_t *inner = group->mapped ? NULL : cprof_map64_get(&reading->inner, group->addr);
	if (!group->mapped && (!inner || *inner & READ || (*inner & BYTES) != group->bytes)) {
		reading->broken++; /* it came a moment ago */
		return NULL;
	}
	if (inner)
		*inner |= READ;
	reading->whole = !cprof_baseline_teller_absent(&reading->teller, group->addr,
						       group->addr + group->bytes);
	add_part(reading, CPROF_BASELINE_OWN, 0, group->addr, group->addr + 16);
	for (unsigned i = 0; !err && i < group->n; i++)
		err = read_slot(reading, group, i);
	add_part(reading, CPROF_BASELINE_OWN, 0, group->addr + 16 + group->stride * group->n,
		 group->addr + group->bytes);
	if (!err && group->mapped)
		err = cprof_baseline_teller_range(&reading->teller, group->addr,
						  group->addr + group->bytes);
	return err;
}

/*
 * Groups that no slot holds are in the pages of programs and libraries that were left over when these were loaded. What has gone
 * since it was noted is in its slot all the same.
 */
static struct cprof_error *add_inner(struct reading *reading)
{
	struct cprof_error *err = NULL;
	reading->whole = false;
	for (size_t i = 0; !err && i < reading->inner.cap; i++) {
		const struct cprof_map64_slot *slot = &reading->inner.slots[i];
		const uint64_t end = slot->key + (slot->value & BYTES);
		if ((slot->value & (HELD | READ)) == READ)
			err = cprof_baseline_teller_range(&reading->teller, slot->key, end);
		else if ((slot->value & (HELD | READ)) == HELD)
			add_part(reading, CPROF_BASELINE_UNTOLD, 1, slot->key, end);
	}
	return err;
}

static struct cprof_error *read_all(const struct cprof_baseline_target *target, void *place,
				    struct cprof_baseline_account *account)
{
	static const struct cprof_musl_fns rounds[] = {
		{ note_inner, no_area, .unproved = true },
		{ read_group, note_area, .unproved = false },
	};
	struct reading reading = { 0 };
	uint64_t broken = 0;
	struct cprof_error *err = cprof_baseline_teller_init(&reading.teller, target->memory,
							     account, cprof_baseline_musl.name);
	for (size_t i = 0; !err && i < sizeof(rounds) / sizeof(rounds[0]); i++)
		err = cprof_musl_groups_each(target->memory, place, &rounds[i], &reading, &broken);
	if (!err)
		err = add_inner(&reading);
	if (!err) {
		cprof_baseline_teller_totals(&reading.teller)->resyncs += broken + reading.broken;
		cprof_baseline_teller_totals(&reading.teller)->error_objects += reading.broken;
	}
	cprof_map64_deinit(&reading.inner);
	cprof_baseline_teller_deinit(&reading.teller);
	return err;
}

const struct cprof_baseline_source cprof_baseline_musl = {
	.name = "musl malloc",
	.find = find,
	.read = read_all,
};
