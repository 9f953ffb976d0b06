/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/perf/perf_ring.h - take whole records out of one perf_event mmap buffer.
 *
 * Knows the ring, not the records: decoding is perf_record.h, opening and mapping is perf_event.h.
 * Works on any memory with this layout, which is how the tests drive it without a kernel.
 *
 * Protocol: perf_event_open(2), "MMAP layout", and the comment above `data_head` in
 * include/uapi/linux/perf_event.h. The kernel only advances data_head, we only advance data_tail.
 */
#ifndef CPROF_ATTACH_PERF_PERF_RING_H
#define CPROF_ATTACH_PERF_PERF_RING_H

#include <linux/perf_event.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/error.h"

/* perf_event_header.size is a u16, so no record is longer than this. */
#define CPROF_PERF_RECORD_MAX UINT16_MAX

struct cprof_perf_ring {
	struct perf_event_mmap_page *meta; /* borrowed; page 0 of the mapping, kernel-shared */
	const uint8_t *data;               /* borrowed; the ring itself */
	uint64_t size;                     /* bytes in data; a power of two */
	uint64_t head, tail;               /* the records of this round, from _begin() on */

	/* A record that wraps is joined up here; 8-byte aligned like records in the ring. */
	_Alignas(8) uint8_t scratch[CPROF_PERF_RECORD_MAX];
};

/*
 * Called once per record, oldest first. `record` has `record->size` readable bytes and is valid
 * only during the call. A returned error stops the drain; that record counts as consumed.
 */
typedef struct cprof_error *cprof_perf_record_fn(const struct perf_event_header *record, void *ctx);

/*
 * Hand every record now in the ring to `fn` and give the space back to the kernel.
 *
 * Never blocks. `*ret_records` counts the records handed over and is written also on error, because
 * those samples are real (the one exception to "written only on success" in this header).
 *
 * Errors: whatever `fn` returned; CPROF_ERR_BAD_DATA if a record's size is smaller than its header or
 * runs past data_head. After CPROF_ERR_BAD_DATA the rest of the ring is dropped: record boundaries
 * are lost, and the next drain starts clean at the kernel's head.
 */
struct cprof_error *cprof_perf_ring_drain(struct cprof_perf_ring *ring, cprof_perf_record_fn *fn,
					  void *ctx, size_t *ret_records);

/*
 * The same by hand, for callers that merge several rings: _begin() fixes which records the round has, _peek()
 * shows the oldest of them (NULL: none left) without a copy unless it wraps, _consume() gives its space
 * back. A record is valid until consumed or the next peek. Errors of _peek() as of _drain().
 */
void cprof_perf_ring_begin(struct cprof_perf_ring *ring);
struct cprof_error *cprof_perf_ring_peek(struct cprof_perf_ring *ring,
					 const struct perf_event_header **ret_record);
void cprof_perf_ring_consume(struct cprof_perf_ring *ring);

#endif
