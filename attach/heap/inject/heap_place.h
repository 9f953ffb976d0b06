/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_place.h - free address space in a target, out of the way of what grows, and marked as ours by the
 * address.
 *
 * Pure; works on the mappings. Code must lie within 2 GiB of what leads to it; data may be anywhere, and goes where the target
 * comes last. What grows: the heap of brk(2) upwards, stacks downwards (and they want a gap below them), mappings made by
 * mmap(2) into any gap.
 *
 * The mark: of all pages only one in 61 is chosen, so that a mapping left by a run that was killed before it wrote its first
 * byte can be told from others (with size, protection and zeros).
 *
 * Sources: mmap(2) "MAP_GROWSDOWN", brk(2), proc(5) "start_brk"; Documentation/admin-guide/kernel-parameters.txt
 * "stack_guard_gap".
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_PLACE_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/maps.h"

#define CPROF_HEAP_PLACES_MAX 8

struct cprof_heap_space {
	const struct cprof_maps *maps; /* borrowed */
	uint64_t brk;                  /* where the heap of brk(2) goes on; 0: not known */
	uint64_t stack_bytes;          /* that a stack may have, RLIMIT_STACK */
	struct cprof_heap_taken {
		uint64_t start, end;
	} taken[CPROF_HEAP_PLACES_MAX]; /* chosen already, but not mapped yet */
	size_t n_taken;
};

/* `start_brk` as of /proc/PID/stat, 0 where it is not known. Nothing is taken. */
void cprof_heap_space_init(struct cprof_heap_space *space, const struct cprof_maps *maps,
			   uint64_t start_brk, uint64_t stack_bytes);

bool cprof_heap_place_marked(uint64_t addr);

/*
 * `bytes` of free address space from which every address in [low, high) can be reached by a 32-bit jump or
 * reference, starting at a marked page; as near as there is, but where the heap grows only if there is nothing else. It is
 * taken then. False if there is none.
 */
bool cprof_heap_place_code(struct cprof_heap_space *space, uint64_t low, uint64_t high,
			   uint64_t bytes, uint64_t *ret_addr);

/* The same anywhere: in the middle of the largest gap, as far from everything as can be. */
bool cprof_heap_place_data(struct cprof_heap_space *space, uint64_t bytes, uint64_t *ret_addr);

#endif
