/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/heap_mmap.h - memory that a process maps itself, past its allocators: -heap-mmap.
 *
 * From calls of mmap, mremap, brk and munmap (mmap/mmap_calls.h) to rows of the profile, each by stack, size and what kind of memory
 * it is. Calls that an allocator makes to serve others are left to these, by the stack: what it hands out is counted there. Every call
 * is seen, so nothing is unsampled. What lives is what is mapped of it still, by /proc/PID/maps where the process lives.
 */
#ifndef CPROF_ATTACH_HEAP_HEAP_MMAP_H
#define CPROF_ATTACH_HEAP_HEAP_MMAP_H

#include <stdint.h>

#include "attach/heap/alloc/alloc_find.h"
#include "attach/heap/mmap/mapped_set.h"
#include "attach/run/run_log.h"
#include "attach/run/session.h"
#include "cprof/error.h"

struct cprof_heap_mmap;

/*
 * From now on calls are seen, and counted from cprof_heap_mmap_begin() on: what is injected in between maps memory too. All is borrowed; `entries` may grow, and are those of the allocators. Errors: those of
 * cprof_mmap_calls_open(); NO_MEMORY.
 */
struct cprof_error *cprof_heap_mmap_open(struct cprof_session *session,
					 struct cprof_process *process,
					 const struct cprof_alloc_entries *entries,
					 struct cprof_run_log *log,
					 struct cprof_heap_mmap **ret_mmap);
struct cprof_error *cprof_heap_mmap_begin(struct cprof_heap_mmap *mmap);
void cprof_heap_mmap_close(struct cprof_heap_mmap *mmap);

/* Take in what has come; with `all` up to now, else what is old enough to have come as a whole. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_mmap_drain(struct cprof_heap_mmap *mmap, bool all);

/* What is mapped as far as calls were taken in; borrowed. */
const struct cprof_mapped_set *cprof_heap_mmap_set(const struct cprof_heap_mmap *mmap);

/* Rows and notes, after a drain. process->maps is read again. Errors: NO_MEMORY. */
struct cprof_error *cprof_heap_mmap_add(struct cprof_heap_mmap *mmap, bool label_pid);

#endif
