/* SPDX-License-Identifier: Apache-2.0 */
#include "attach/perf/perf_ring.h"

#include <assert.h>
#include <string.h>

/* Join a record whose body crosses the end of the ring; its size has already been checked. */
static const struct perf_event_header *join(struct cprof_perf_ring *ring, uint64_t start,
					    size_t size)
{
	size_t before_end = ring->size - start;
	memcpy(ring->scratch, ring->data + start, before_end);
	memcpy(ring->scratch + before_end, ring->data, size - before_end);
	return (const void *)ring->scratch;
}

/* Records and ring are 8-byte aligned and the header is 8 bytes: it never wraps. */
static_assert(sizeof(struct perf_event_header) == 8, "header may straddle");
static const struct perf_event_header *oldest(const struct cprof_perf_ring *ring)
{
	return (const void *)(ring->data + (ring->tail & (ring->size - 1)));
}

/* Release: every read of the record bytes is done before the kernel may reuse them. */
static void give_back(struct cprof_perf_ring *ring, uint64_t tail)
{
	ring->tail = tail;
	__atomic_store_n(&ring->meta->data_tail, tail, __ATOMIC_RELEASE);
}

void cprof_perf_ring_begin(struct cprof_perf_ring *ring)
{
	assert((ring->size & (ring->size - 1)) == 0);

	/* Acquire pairs with the kernel's barrier: bytes below head are complete once we see it. */
	ring->head = __atomic_load_n(&ring->meta->data_head, __ATOMIC_ACQUIRE);
	ring->tail = ring->meta->data_tail; /* only we write it */
}

struct cprof_error *cprof_perf_ring_peek(struct cprof_perf_ring *ring,
					 const struct perf_event_header **ret_record)
{
	if (ring->tail >= ring->head) {
		*ret_record = NULL;
		return NULL;
	}
	const struct perf_event_header *record = oldest(ring);
	uint64_t start = ring->tail & (ring->size - 1), left = ring->head - ring->tail;
	size_t size = record->size;
	if (size < sizeof(*record) || size > left) {
		give_back(ring, ring->head);
		return cprof_error_new(CPROF_ERR_BAD_DATA,
				       "perf record of %zu bytes with %zu left in the ring", size,
				       (size_t)left);
	}
	*ret_record = size > ring->size - start ? join(ring, start, size) : record;
	return NULL;
}

void cprof_perf_ring_consume(struct cprof_perf_ring *ring)
{
	give_back(ring, ring->tail + oldest(ring)->size);
}

struct cprof_error *cprof_perf_ring_drain(struct cprof_perf_ring *ring, cprof_perf_record_fn *fn,
					  void *ctx, size_t *ret_records)
{
	struct cprof_error *err = NULL;
	size_t records = 0;
	cprof_perf_ring_begin(ring);
	while (!err) {
		const struct perf_event_header *record;
		err = cprof_perf_ring_peek(ring, &record);
		if (err || !record)
			break;
		records++;
		err = fn(record, ctx);
		cprof_perf_ring_consume(ring);
	}
	*ret_records = records;
	return err;
}
