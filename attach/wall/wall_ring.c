/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/wall/wall_ring.h"

#include <stdlib.h>

#include "attach/waits/wait_edges.h"
#include "base/cleanup.h"
#include "convert/profile/builder_carry.h"

#define SLOT_BYTES sizeof(struct cprof_map64_slot)

static struct cprof_error *forget(void *ctx, uint64_t before_ns)
{
	struct cprof_wall_ring *ring = ctx;
	struct cprof_error *err = cprof_time_spans_keep(ring->samples, before_ns, NULL, NULL);
	return err ? err : cprof_time_spans_keep(&ring->ledger->times, before_ns, NULL, NULL);
}

static size_t bytes_of(const void *ctx)
{
	const struct cprof_wall_ring *ring = ctx;
	return CPROF_WAIT_RING_SPAN_BYTES * (ring->samples->n + ring->ledger->times.n) +
	       ring->parts->n * (sizeof(*ring->parts->parts) + SLOT_BYTES) +
	       ring->ledger->n * sizeof(*ring->ledger->accounts) +
	       ring->ledger->by_tid.cap * SLOT_BYTES;
}

/* ---- what no time refers to ---- */

static uint32_t new_number(const void *ctx, uint32_t key)
{
	const uint32_t *to = ctx;
	return to[key] ? to[key] - 1 : UINT32_MAX;
}

/* Parts of samples; those of waits are made when a profile is. */
static struct cprof_error *carry_parts(struct cprof_wall_ring *ring,
				       const struct cprof_builder *from, struct cprof_builder *to)
{
	struct cprof_wall_parts kept = { .dropped = ring->parts->dropped };
	CPROF_AUTO(free) uint32_t *numbers = calloc(ring->parts->n + 1, sizeof(*numbers));
	struct cprof_error *err = numbers ? NULL : cprof_error_no_memory();
	for (size_t i = 0; !err && i < ring->samples->n; i++)
		numbers[ring->samples->spans[i].key] = 1;
	for (size_t i = 0; !err && i < ring->parts->n; i++) {
		struct cprof_wall_part part = ring->parts->parts[i];
		size_t at = 0;
		if (!numbers[i])
			continue;
		err = cprof_builder_carry_stack(from, part.stack, to, &part.stack);
		if (!err)
			err = cprof_wall_parts_add(&kept, &part, &at);
		numbers[i] = (uint32_t)at + 1;
	}
	if (!err)
		err = cprof_time_spans_keep(ring->samples, 0, new_number, numbers);
	if (err) {
		cprof_wall_parts_deinit(&kept);
		return err;
	}
	cprof_wall_parts_deinit(ring->parts);
	*ring->parts = kept;
	return NULL;
}

static struct cprof_error *note_tid(struct cprof_map64 *tids, uint64_t tid)
{
	return cprof_map64_put(tids, tid, NULL) ? NULL : cprof_error_no_memory();
}

/* Threads that something is known of still: where their time is, is to be found. */
static struct cprof_error *carry_accounts(struct cprof_wall_ring *ring)
{
	const struct cprof_wait_table *table = &ring->watch->intake->table;
	struct cprof_map64 tids = { 0 };
	struct cprof_error *err = NULL;
	for (size_t i = 0; !err && i < ring->parts->n; i++)
		err = note_tid(&tids, (uint64_t)ring->parts->parts[i].tid);
	for (size_t i = 0; !err && i < table->n_rows; i++)
		err = note_tid(&tids, table->rows[i].tid);
	if (!err)
		err = cprof_ledger_keep(ring->ledger, &tids);
	cprof_map64_deinit(&tids);
	return err;
}

static struct cprof_error *carry(void *ctx, const struct cprof_builder *from,
				 struct cprof_builder *to)
{
	struct cprof_error *err = carry_parts(ctx, from, to);
	return err ? err : carry_accounts(ctx);
}

/* ---- a run ---- */

void cprof_wall_ring_start(struct cprof_wall_ring *ring, uint64_t mono_ns)
{
	ring->waits.turned_ns = mono_ns;
	ring->waits.more = (struct cprof_wait_ring_more){
		.forget = forget,
		.bytes = bytes_of,
		.carry = carry,
		.ctx = ring,
	};
}

void cprof_wall_ring_deinit(struct cprof_wall_ring *ring)
{
	cprof_wait_ring_deinit(&ring->waits);
}

struct cprof_error *cprof_wall_ring_turn(struct cprof_wall_ring *ring)
{
	return cprof_wait_ring_turn(&ring->waits, ring->watch);
}

struct cprof_error *cprof_wall_ring_cut(struct cprof_wall_ring *ring)
{
	struct cprof_wait_watch *watch = ring->watch;
	const struct cprof_run *run = watch->intake->run;
	const struct cprof_time_spans *times = &ring->ledger->times;
	struct cprof_sample_ring *asked = run->ring;
	cprof_sample_ring_end(asked,
			      run->window->start_mono_ns + cprof_window_elapsed_ns(run->window));
	/* Steps of the file are then those that time is known by. Without times it is exactly what was asked for. */
	if (run->timeline.on && asked->from_ns > times->zero_ns)
		asked->from_ns -= (asked->from_ns - times->zero_ns) % times->step_ns;
	cprof_session_look_back(watch->intake->session);
	/* Where looks add up waits as they go on (mark_open) the open ones are there already. */
	return watch->tier->mark_open
		       ? NULL
		       : cprof_wait_edges_take(watch->intake, watch->tier, watch->state);
}
