/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_size.h - how much of the target's memory a profile may take: cells for samples, entries for living
 * blocks, and the sum of it. Pure.
 *
 * The mapping is large and mostly never touched. In a target that no limit is near to it is left at that. Where a memory cgroup
 * sets a limit, a page that is touched for the first time later may be the one that gets somebody killed: there the profile is
 * made small, and every page that it can ever touch is touched while the attach looks at what is left (heap_pages.h).
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_SIZE_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"
#include "attach/target/head_room.h"
#include "cprof/error.h"

struct cprof_heap_size {
	uint32_t cells;        /* that may be used, of CPROF_SHIM_CELLS */
	uint64_t live_entries; /* a power of two, no fewer than the reader takes at once */
	bool touch;            /* all of it beforehand */
};

/* Bytes of the data mapping. */
uint64_t cprof_heap_size_mapped(const struct cprof_heap_size *size);

/* May the shim use cell `index`? Few cells lie apart, so that each of its tries meets one. */
bool cprof_heap_size_cell_is_open(const struct cprof_heap_size *size, uint32_t index);

/*
 * The largest that `room` affords, of `period` mean bytes between two samples, with `images` code mappings of `image_bytes`
 * and `hooks` places changed in the text. Errors: DENIED (not even the smallest; the numbers are in the message).
 */
struct cprof_error *cprof_heap_size_choose(const struct cprof_head_room *room, uint64_t period,
					   uint32_t images, uint64_t image_bytes, uint64_t hooks,
					   struct cprof_heap_size *ret_size);

/* The same sum if the target locks all that it maps: then the whole mapping is resident at once. DENIED as above. */
struct cprof_error *cprof_heap_size_check_locked(const struct cprof_head_room *room,
						 const struct cprof_heap_size *size,
						 uint32_t images, uint64_t image_bytes);

#endif
