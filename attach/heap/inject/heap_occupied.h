/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_occupied.h - may the injected pages go, or does somebody still stand in their code or come back to it?
 *
 * Reads only. What a slow path leaves on the stack while the original runs, and how it is told from what a longjmp left
 * behind, is shim_proto.h's (struct cprof_shim_flight).
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_OCCUPIED_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_OCCUPIED_H

#include "attach/heap/inject/heap_pages.h"
#include "attach/heap/inject/heap_scan.h"
#include "attach/target/ptrace.h"

/*
 * Why the pages cannot be unmapped now, static text; NULL: they can. All threads stand still, no jump leads to the pages
 * any more, pages->maps is fresh.
 */
const char *cprof_heap_occupied(const struct cprof_heap_pages *pages,
				const struct cprof_ptrace *trace);

/*
 * Has somebody been interrupted in the code of the pages and put aside? As heap_scan.h; the threads may run, since nobody comes
 * in any more. `dead` is what cprof_heap_threads_dead() said of a stop since then.
 */
enum cprof_heap_scanned cprof_heap_occupied_scan(const struct cprof_heap_pages *pages,
						 const struct cprof_shim_range *dead, size_t n_dead,
						 uint64_t bytes_max);

#endif
