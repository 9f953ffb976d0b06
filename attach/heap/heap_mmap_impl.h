/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_mmap_impl.h - the inside of heap_mmap.h.
 *
 * heap_mmap.c owns what calls mean, heap_mmap_rows.c what of it lives and goes into the profile.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_MMAP_IMPL_H
#define CPROF_ATTACH_HEAP_HEAP_MMAP_IMPL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/heap_mmap.h"
#include "attach/heap/mmap/mapped_set.h"
#include "attach/heap/mmap/mmap_calls.h"
#include "cprof/hash.h"

#define CPROF_HEAP_MMAP_WRAPPERS 64u

enum cprof_heap_mmap_what {
	CPROF_HEAP_MMAP_ANONYMOUS,
	CPROF_HEAP_MMAP_THREAD_STACK,
	CPROF_HEAP_MMAP_HUGE_PAGES,
	CPROF_HEAP_MMAP_SHARED,
	CPROF_HEAP_MMAP_MEMFD,
	CPROF_HEAP_MMAP_SHM,
	CPROF_HEAP_MMAP_SYSTEM_V,
	CPROF_HEAP_MMAP_BRK,
	CPROF_HEAP_MMAP_RESERVED,
	CPROF_HEAP_MMAP_WHATS,
};

struct cprof_heap_mmap_row {
	uint32_t stack, what;
	uint32_t next; /* row + 1 with the same hash */
	uint64_t bytes;
	uint64_t alloc_objects, alloc_bytes, inuse_objects, inuse_bytes;
};

struct cprof_heap_mmap_event;

struct cprof_heap_mmap {
	struct cprof_session *session; /* borrowed, as those below */
	struct cprof_process *process;
	const struct cprof_alloc_entries *entries;
	struct cprof_run_log *log;

	struct cprof_mmap_calls *calls;       /* owned */
	struct cprof_heap_mmap_event *events; /* owned; of one drain */
	size_t n_events, cap_events;
	struct cprof_mapped_set set;
	struct cprof_heap_mmap_row *rows; /* owned */
	uint32_t n_rows, cap_rows;
	struct cprof_map64 by_hash;
	uint32_t *row_of; /* owned; a call's row, `n_calls` of them */
	uint32_t n_calls, cap_calls;
	uint64_t heap_end; /* the break as it was last; 0: not known */
	struct cprof_shim_range
		wrappers[CPROF_HEAP_MMAP_WRAPPERS]; /* code of mmap() and the like */
	size_t n_wrappers;
	uint64_t from_ns; /* calls before are not counted */
	bool maps_fresh;  /* in this drain */

	uint64_t own, lost,
		no_room; /* calls of allocators; lost records; what is left out because there is too much */
};

#endif
