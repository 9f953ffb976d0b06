/*
 * attach/heap/inject/heap_place.h - free address space in a target: near its allocators, and marked as ours by the address.
 *
 * Pure; works on the mappings. The mark: of all pages only one in 61 is chosen for our code, so that a mapping left
 * by a run that was killed before it wrote its first byte can be told from others (with size, protection and zeros).
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_PLACE_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_PLACE_H

#include <stdbool.h>
#include <stdint.h>

#include "cprof/maps.h"

bool cprof_heap_place_marked(uint64_t addr);

/*
 * `bytes` of free address space from which every address in [low, high) can be reached by a 32-bit jump or
 * reference, starting at a marked page; as near as there is. False if there is none. [avoid_start, avoid_end) is taken
 * by something not mapped yet.
 */
bool cprof_heap_place_near(const struct cprof_maps *maps, uint64_t low, uint64_t high,
			   uint64_t bytes, uint64_t avoid_start, uint64_t avoid_end,
			   uint64_t *ret_addr);

#endif
