/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/run/sample_ring.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_LEAST   4096       /* samples */
#define THIN_LEAST   (1u << 20) /* bytes that are not worth being thinned out */
#define MARKS_A_RING 32

void cprof_sample_ring_deinit(struct cprof_sample_ring *ring)
{
	free(ring->entries);
	ring->entries = NULL;
	ring->first = ring->n = ring->cap = ring->n_marks = 0;
}

/* ---- who comes and who goes ---- */

static void let_go(struct cprof_sample_ring *ring, size_t n)
{
	ring->first += n;
	ring->first -= ring->first >= ring->cap ? ring->cap : 0;
	ring->n -= n;
}

/* Of what memory has no room for. */
static void drop(struct cprof_sample_ring *ring, size_t n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n; i++) {
		const uint64_t mono_ns = cprof_sample_ring_at(ring, i)->mono_ns;
		if (mono_ns > ring->dropped_mono_ns)
			ring->dropped_mono_ns = mono_ns;
	}
	ring->dropped += n;
	let_go(ring, n);
}

/* Room for one more: twice as many as there were, unrolled; false: that is more than may be. */
static bool grow(struct cprof_sample_ring *ring, struct cprof_error **ret_err)
{
	const size_t cap = ring->cap ? 2 * ring->cap : ROOM_LEAST;
	if (ring->cap && cap * sizeof(*ring->entries) > ring->bytes_max / 2)
		return false;
	struct cprof_sample_ring_entry *entries = calloc(cap, sizeof(*entries));
	if (!entries) {
		*ret_err = cprof_error_no_memory();
		return false;
	}
	for (size_t i = 0; i < ring->n; i++)
		entries[i] = *cprof_sample_ring_at(ring, i);
	free(ring->entries);
	ring->entries = entries;
	ring->first = 0;
	ring->cap = cap;
	return true;
}

struct cprof_error *cprof_sample_ring_add(struct cprof_sample_ring *ring, uint64_t mono_ns,
					  uint32_t a, uint32_t b, const int64_t *values, size_t n)
{
	struct cprof_error *err = NULL;
	if (ring->n == ring->cap && !grow(ring, &err) && !err)
		drop(ring, 1);
	if (err)
		return err;
	struct cprof_sample_ring_entry *entry = cprof_sample_ring_at(ring, ring->n++);
	*entry = (struct cprof_sample_ring_entry){ .mono_ns = mono_ns, .a = a, .b = b };
	memcpy(entry->values, values, n * sizeof(*values));
	return NULL;
}

void cprof_sample_ring_end(struct cprof_sample_ring *ring, uint64_t end_ns)
{
	if (ring->until_ns)
		return;
	ring->from_ns = ring->after_ns && *ring->after_ns ? *ring->after_ns
			: end_ns > ring->last_ns          ? end_ns - ring->last_ns
							  : 0;
	ring->until_ns = UINT64_MAX;
}

static void mark(struct cprof_sample_ring *ring, uint64_t now_ns, const struct cprof_counts *counts)
{
	const uint64_t every_ns = ring->length_ns / MARKS_A_RING;
	if (ring->n_marks && now_ns - ring->marks[ring->n_marks - 1].mono_ns < every_ns)
		return;
	if (ring->n_marks == CPROF_SAMPLE_RING_MARKS)
		memmove(ring->marks, ring->marks + 1, --ring->n_marks * sizeof(ring->marks[0]));
	ring->marks[ring->n_marks++] = (struct cprof_sample_ring_mark){ now_ns, *counts };
}

void cprof_sample_ring_turn(struct cprof_sample_ring *ring, uint64_t now_ns,
			    const struct cprof_counts *counts)
{
	const uint64_t oldest_ns = now_ns > ring->length_ns ? now_ns - ring->length_ns : 0;
	size_t old = 0;
	while (old < ring->n && cprof_sample_ring_at(ring, old)->mono_ns < oldest_ns)
		old++;
	let_go(ring, old);
	mark(ring, now_ns, counts);
}

/* ---- memory ---- */

bool cprof_sample_ring_is_full(const struct cprof_sample_ring *ring, size_t bytes)
{
	const size_t ours = ring->cap * sizeof(*ring->entries);
	return bytes > THIN_LEAST &&
	       (bytes > 2 * ring->kept_bytes || bytes + ours > ring->bytes_max);
}

bool cprof_sample_ring_thinned(struct cprof_sample_ring *ring, size_t bytes)
{
	const size_t ours = ring->cap * sizeof(*ring->entries);
	ring->kept_bytes = bytes;
	/* A quarter stays free: otherwise it would be full again with the next stack. */
	if (bytes <= THIN_LEAST || !ring->n || bytes + ours <= ring->bytes_max / 4 * 3)
		return false;
	drop(ring, (ring->n + 1) / 2);
	return true;
}

/* ---- a cut ---- */

uint64_t cprof_sample_ring_begin_ns(const struct cprof_sample_ring *ring)
{
	return ring->dropped && ring->dropped_mono_ns >= ring->from_ns ? ring->dropped_mono_ns + 1
								       : ring->from_ns;
}

/* What had been counted by then: as of the last mark that is not later. */
static struct cprof_counts counts_at(const struct cprof_sample_ring *ring, uint64_t mono_ns)
{
	struct cprof_counts counts = { 0 };
	for (size_t i = 0; i < ring->n_marks && ring->marks[i].mono_ns <= mono_ns; i++)
		counts = ring->marks[i].counts;
	return counts;
}

void cprof_sample_ring_count(const struct cprof_sample_ring *ring, struct cprof_counts *counts)
{
	const struct cprof_counts before = counts_at(ring, ring->from_ns);
	counts->lost -= before.lost < counts->lost ? before.lost : counts->lost;
	counts->truncated -=
		before.truncated < counts->truncated ? before.truncated : counts->truncated;
	if (ring->sums) {
		counts->samples -=
			before.samples < counts->samples ? before.samples : counts->samples;
		return;
	}
	counts->samples = 0;
	for (size_t i = 0; i < ring->n; i++)
		counts->samples += cprof_sample_ring_wants(ring, cprof_sample_ring_at(ring, i));
}
