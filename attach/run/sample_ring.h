/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/run/sample_ring.h - the samples of the last minute, with their times: what a run that looks back has in memory.
 *
 * Owns who goes: what is older than the ring is long, and the oldest where memory is bounded. A sample is two numbers (of a
 * stack and its labels, or of whatever else its mode counts by) and values; what they mean is the mode's. They come in about the order of
 * their times, which several processors' samples are not exactly; a cut goes by the time of each.
 */
#ifndef CPROF_ATTACH_RUN_SAMPLE_RING_H
#define CPROF_ATTACH_RUN_SAMPLE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/run/run_log.h"
#include "cprof/error.h"

#define CPROF_SAMPLE_RING_VALUES 4  /* of a sample at most */
#define CPROF_SAMPLE_RING_MARKS  64 /* moments at which the run's counts are remembered */

struct cprof_sample_ring_entry {
	uint64_t mono_ns;
	uint32_t a, b;
	int64_t values[CPROF_SAMPLE_RING_VALUES];
};

struct cprof_sample_ring {
	bool sums; /* an entry is the sum of several samples: how many these were is told by the run's counts */

	/* Set by who wants one. */
	uint64_t length_ns;
	size_t bytes_max; /* of the ring and of what it refers to */
	uint64_t last_ns; /* how much a profile is of that nobody asks for: the last so many */
	const uint64_t *
		after_ns; /* borrowed; where it is not 0 that is all from then on instead; NULL: never */
	uint64_t from_ns,
		until_ns; /* what one is of: [from, until), CLOCK_MONOTONIC; 0, 0: as above */

	struct cprof_sample_ring_entry *entries; /* owned; a ring: the oldest at `first` */
	size_t first, n, cap;
	uint64_t dropped;         /* samples that went before their time, for want of memory */
	uint64_t dropped_mono_ns; /* the youngest of them */
	size_t kept_bytes;        /* of what is referred to, when it was last thinned out */
	struct cprof_sample_ring_mark {
		uint64_t mono_ns;
		struct cprof_counts counts; /* since the beginning */
	} marks[CPROF_SAMPLE_RING_MARKS];
	size_t n_marks;
};

/* Frees what it owns; it can be used again. */
void cprof_sample_ring_deinit(struct cprof_sample_ring *ring);

/* One more; `values` are n of at most CPROF_SAMPLE_RING_VALUES. Errors: NO_MEMORY. */
struct cprof_error *cprof_sample_ring_add(struct cprof_sample_ring *ring, uint64_t mono_ns,
					  uint32_t a, uint32_t b, const int64_t *values, size_t n);

/* The i-th, from the oldest; i < ring->n. */
static inline struct cprof_sample_ring_entry *
cprof_sample_ring_at(const struct cprof_sample_ring *ring, size_t i)
{
	const size_t at = ring->first + i;
	return &ring->entries[at < ring->cap ? at : at - ring->cap];
}

static inline bool cprof_sample_ring_wants(const struct cprof_sample_ring *ring,
					   const struct cprof_sample_ring_entry *entry)
{
	return entry->mono_ns >= ring->from_ns && entry->mono_ns < ring->until_ns;
}

/* Where nobody has asked for a stretch of time: the last of it that ends then. */
void cprof_sample_ring_end(struct cprof_sample_ring *ring, uint64_t end_ns);

/* Let go what is older than the ring is long, and remember what the run has counted by now. */
void cprof_sample_ring_turn(struct cprof_sample_ring *ring, uint64_t now_ns,
			    const struct cprof_counts *counts);

/*
 * What is referred to takes `bytes` now. True: thin it out to what the samples refer to, for it has doubled or is more than may be.
 * Then tell how much it takes, and whether that is still too much: half of the samples go, and it is to be done again.
 */
bool cprof_sample_ring_is_full(const struct cprof_sample_ring *ring, size_t bytes);
bool cprof_sample_ring_thinned(struct cprof_sample_ring *ring, size_t bytes);

/* Where a profile of [from, until) really begins: later than from_ns where samples went for want of memory. */
uint64_t cprof_sample_ring_begin_ns(const struct cprof_sample_ring *ring);

/* Make `counts`, those of the whole run, those of the ring's [from, until): lost records and the like, to a 32nd of its length. */
void cprof_sample_ring_count(const struct cprof_sample_ring *ring, struct cprof_counts *counts);

#endif
