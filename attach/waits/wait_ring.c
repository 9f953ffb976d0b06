/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/waits/wait_ring.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "attach/waits/wait_edges.h"
#include "base/array.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "convert/profile/builder_carry.h"

#define TURN_NS   (CPROF_NS_PER_S / 10)
#define LATE_NS   (CPROF_NS_PER_S / 10) /* that a tier may keep a wait until it hands it over */
#define KEEPS     4                     /* so often in its length the ring lets go of times */
#define ROW_BYTES 128 /* of the sums and of what was seen of them, with their places in hashes */

static_assert(sizeof(struct cprof_wait_ring_sums) ==
		      3 * sizeof(((struct cprof_sample_ring_entry *)0)->values[0]),
	      "sums go into an entry bit by bit");

void cprof_wait_ring_deinit(struct cprof_wait_ring *ring)
{
	free(ring->seen);
	*ring = (struct cprof_wait_ring){ 0 };
}

/* ---- into the ring ---- */

static struct cprof_error *see_row(struct cprof_wait_ring *ring, struct cprof_sample_ring *samples,
				   const struct cprof_wait_row *row, uint32_t number)
{
	struct cprof_wait_ring_sums *seen = &ring->seen[number];
	const struct cprof_wait_ring_sums grown = { row->count - seen->count,
						    row->delay_ns - seen->delay_ns,
						    row->queue_ns - seen->queue_ns };
	int64_t values[3];
	if (grown.count == 0 && grown.delay_ns == 0 && grown.queue_ns == 0)
		return NULL;
	*seen = (struct cprof_wait_ring_sums){ row->count, row->delay_ns, row->queue_ns };
	memcpy(values, &grown, sizeof(values));
	return cprof_sample_ring_add(samples, ring->turned_ns - LATE_NS, number, 0, values, 3);
}

/*
 * What has come since the last turn is of a time before that turn: whoever asks for all that was until some moment has what ended by
 * then, however late it came.
 */
static struct cprof_error *see(struct cprof_wait_ring *ring, struct cprof_wait_intake *intake)
{
	const struct cprof_wait_table *table = &intake->table;
	if (ring->n < table->n_rows) {
		if (!CPROF_ARRAY_ROOM(ring->seen, ring->n, ring->cap, table->n_rows - ring->n))
			return cprof_error_no_memory();
		memset(ring->seen + ring->n, 0, (table->n_rows - ring->n) * sizeof(*ring->seen));
		ring->n = table->n_rows;
	}
	struct cprof_error *err = NULL;
	for (uint32_t i = 0; !err && i < table->n_rows; i++)
		err = see_row(ring, intake->run->ring, &table->rows[i], i);
	return err;
}

/* ---- what nobody refers to goes ---- */

struct thinning {
	struct cprof_wait_ring *ring;
	struct cprof_wait_watch *watch;
	uint32_t *to; /* owned by the caller; the row's number afterwards + 1; 0: it goes */
};

static void mark_row(void *ctx, uint32_t *row)
{
	struct thinning *thinning = ctx;
	if (*row < thinning->watch->intake->table.n_rows)
		thinning->to[*row] = 1;
}

static void renumber_row(void *ctx, uint32_t *row)
{
	const struct thinning *thinning = ctx;
	if (*row < thinning->watch->intake->table.n_rows && thinning->to[*row])
		*row = thinning->to[*row] - 1;
}

static void mark_all(struct thinning *thinning)
{
	struct cprof_wait_watch *watch = thinning->watch;
	const struct cprof_sample_ring *samples = watch->intake->run->ring;
	const struct cprof_time_spans *times = &watch->intake->times;
	for (size_t i = 0; i < samples->n; i++)
		thinning->to[cprof_sample_ring_at(samples, i)->a] = 1;
	for (size_t i = 0; i < times->n; i++)
		thinning->to[times->spans[i].key] = 1;
	if (watch->tier->each_row)
		watch->tier->each_row(watch->state, mark_row, thinning);
}

static void renumber_all(struct thinning *thinning)
{
	struct cprof_wait_watch *watch = thinning->watch;
	const struct cprof_sample_ring *samples = watch->intake->run->ring;
	if (watch->tier->each_row)
		watch->tier->each_row(watch->state, renumber_row, thinning);
	for (size_t i = 0; i < samples->n; i++)
		renumber_row(thinning, &cprof_sample_ring_at(samples, i)->a);
}

static uint32_t number_of(const void *ctx, uint32_t row)
{
	const struct thinning *thinning = ctx;
	return thinning->to[row] ? thinning->to[row] - 1 : UINT32_MAX;
}

/* Rows that stay, with their stacks in the new builder. On errors all is as before. */
static struct cprof_error *carry(void *ctx, const struct cprof_builder *from,
				 struct cprof_builder *to)
{
	struct thinning *thinning = ctx;
	struct cprof_wait_table *table = &thinning->watch->intake->table, kept = { 0 };
	CPROF_AUTO(free)
	struct cprof_wait_ring_sums *seen = calloc((size_t)table->n_rows + 1, sizeof(*seen));
	struct cprof_error *err = seen ? NULL : cprof_error_no_memory();
	for (uint32_t i = 0; !err && i < table->n_rows; i++) {
		struct cprof_wait_row row = table->rows[i];
		uint32_t number;
		if (!thinning->to[i])
			continue;
		err = cprof_builder_carry_stack(from, row.stack, to, &row.stack);
		if (!err)
			err = cprof_wait_table_carry(&kept, &row, &number);
		if (err)
			break;
		seen[number] = thinning->ring->seen[i];
		thinning->to[i] = number + 1;
	}
	if (!err)
		err = cprof_time_spans_keep(&thinning->watch->intake->times, 0, number_of,
					    thinning);
	const struct cprof_wait_ring_more *more = &thinning->ring->more;
	if (!err && more->carry)
		err = more->carry(more->ctx, from, to);
	if (err) {
		cprof_wait_table_deinit(&kept);
		return err;
	}
	renumber_all(thinning);
	cprof_wait_table_deinit(table);
	*table = kept;
	memcpy(thinning->ring->seen, seen, kept.n_rows * sizeof(*seen));
	thinning->ring->n = kept.n_rows;
	return NULL;
}

static struct cprof_error *thin(struct cprof_wait_ring *ring, struct cprof_wait_watch *watch)
{
	CPROF_AUTO(free)
	uint32_t *to = calloc((size_t)watch->intake->table.n_rows + 1, sizeof(*to));
	struct thinning thinning = { ring, watch, to };
	if (!to)
		return cprof_error_no_memory();
	mark_all(&thinning);
	return cprof_session_thin(watch->intake->session, carry, &thinning);
}

static struct cprof_error *forget_before(struct cprof_wait_ring *ring,
					 struct cprof_wait_intake *intake, uint64_t before_ns)
{
	struct cprof_error *err = cprof_time_spans_keep(&intake->times, before_ns, NULL, NULL);
	return err || !ring->more.forget ? err : ring->more.forget(ring->more.ctx, before_ns);
}

/* When waits were that are older than the ring is long. */
static struct cprof_error *forget_times(struct cprof_wait_ring *ring,
					struct cprof_wait_intake *intake, uint64_t now_ns)
{
	const uint64_t length_ns = intake->run->ring->length_ns;
	if (!intake->timed || now_ns - ring->kept_ns < length_ns / KEEPS || now_ns < length_ns)
		return NULL;
	ring->kept_ns = now_ns;
	return forget_before(ring, intake, now_ns - length_ns);
}

static size_t bytes_of(const struct cprof_wait_ring *ring, const struct cprof_wait_intake *intake)
{
	return cprof_session_bytes(intake->session) + (size_t)intake->table.n_rows * ROW_BYTES +
	       intake->times.n * CPROF_WAIT_RING_SPAN_BYTES +
	       (ring->more.bytes ? ring->more.bytes(ring->more.ctx) : 0);
}

struct cprof_error *cprof_wait_ring_turn(struct cprof_wait_ring *ring,
					 struct cprof_wait_watch *watch)
{
	struct cprof_wait_intake *intake = watch->intake;
	struct cprof_sample_ring *samples = intake->run->ring;
	const uint64_t now_ns = cprof_clock_mono_ns();
	if (!samples || now_ns - ring->turned_ns < TURN_NS)
		return NULL;
	struct cprof_error *err = see(ring, intake);
	if (!err)
		err = forget_times(ring, intake, now_ns);
	ring->turned_ns = now_ns;
	samples->sums = true;
	cprof_sample_ring_turn(samples, now_ns, &intake->run->log->counts);
	if (err || !cprof_sample_ring_is_full(samples, bytes_of(ring, intake)))
		return err;
	do {
		/* What had to go for want of memory takes its times with it. */
		if (intake->timed && samples->dropped)
			err = forget_before(ring, intake, samples->dropped_mono_ns);
		if (!err)
			err = thin(ring, watch);
	} while (!err && cprof_sample_ring_thinned(samples, bytes_of(ring, intake)));
	return err;
}

/* ---- out of it ---- */

static void refill(struct cprof_wait_table *table, const struct cprof_sample_ring *samples)
{
	for (uint32_t i = 0; i < table->n_rows; i++)
		table->rows[i].count = table->rows[i].delay_ns = table->rows[i].queue_ns = 0;
	for (size_t i = 0; i < samples->n; i++) {
		const struct cprof_sample_ring_entry *entry = cprof_sample_ring_at(samples, i);
		struct cprof_wait_ring_sums grown;
		if (!cprof_sample_ring_wants(samples, entry))
			continue;
		memcpy(&grown, entry->values, sizeof(grown));
		table->rows[entry->a].count += grown.count;
		table->rows[entry->a].delay_ns += grown.delay_ns;
		table->rows[entry->a].queue_ns += grown.queue_ns;
	}
}

struct cprof_error *cprof_wait_ring_cut(struct cprof_wait_ring *ring,
					struct cprof_wait_watch *watch)
{
	struct cprof_wait_intake *intake = watch->intake;
	const struct cprof_wait_tier *tier = watch->tier;
	if (!intake->run->ring)
		return NULL;
	struct cprof_error *err = see(ring, intake);
	if (err)
		return err;
	cprof_session_look_back(intake->session);
	refill(&intake->table, intake->run->ring);
	/* Where looks add up waits as they go on (mark_open) the open ones are in the sums already. */
	if (intake->request->releases || tier->mark_open)
		return NULL;
	return cprof_wait_edges_take(intake, tier, watch->state);
}
