/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base/array.h - arrays that grow: one rule of growth, and one place where sizes are checked.
 *
 * The owner keeps the pointer, the number of entries and the room, under names of its own, and frees the pointer. NULL with
 * 0 and 0 is an empty array.
 */
#ifndef CPROF_BASE_ARRAY_H
#define CPROF_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Room for `extra` more entries behind the first `n` of `array`; `cap` is how many it has room for, a size_t or a uint32_t.
 * Entries may move. False: there is no memory, or `cap` cannot count so many; then all is as before.
 *
 *     if (!CPROF_ARRAY_ROOM(maps->all, maps->n_all, maps->cap_all, 1))
 *             return cprof_error_no_memory();
 *     maps->all[maps->n_all++] = map;
 */
#define CPROF_ARRAY_ROOM(array, n, cap, extra)                                                     \
	(_Generic(&(cap), size_t *                                                                 \
		  : cprof_array_room, uint32_t *                                                   \
		  : cprof_array_room32)(&(array), (n), &(cap), (extra), sizeof(*(array))))

/* What it is made of. `array` points to the array's pointer. */
bool cprof_array_room(void *array, size_t n, size_t *cap, size_t extra, size_t entry_bytes);
bool cprof_array_room32(void *array, uint32_t n, uint32_t *cap, size_t extra, size_t entry_bytes);

#endif
