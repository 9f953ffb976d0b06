/*
 * attach/heap/inject/heap_pages.h - the two kinds of mappings that the target gets: made, filled, named and taken away.
 *
 * Owns the system calls that one of its threads makes for that (remote.h), and whether its seccomp filter lets it. What
 * the code mappings hold is heap_plan.h's. All of it with the target's threads standing still.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_PAGES_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_PAGES_H

#include "attach/heap/inject/heap_install.h"
#include "attach/target/ptrace.h"
#include "attach/target/remote.h"
#include "base/error.h"

/*
 * Would the target live if we were killed in the middle? Errors: DENIED (a seccomp filter that kills for one of the calls, or
 * that we may not look at).
 */
struct cprof_error *cprof_heap_pages_permitted(const struct cprof_heap_install *install,
					       const struct cprof_ptrace *trace,
					       const struct cprof_remote *remote);

/*
 * Map install->images and the data, and write the images. On error what was mapped is marked so (image->mapped,
 * install->data_mapped), for cprof_heap_pages_unmap(). Errors: OS (EEXIST: the place was taken meanwhile).
 */
struct cprof_error *cprof_heap_pages_map(struct cprof_heap_install *install,
					 struct cprof_ptrace *trace, struct cprof_remote *remote);

/* What the shim finds in the data: quantiles, a slot for each thread that stands, control. `ns_tids` go with the threads of `trace`. */
struct cprof_error *cprof_heap_pages_fill(struct cprof_heap_install *install,
					  const struct cprof_ptrace *trace, const uint32_t *ns_tids,
					  uint32_t tid_offset);

/* What cannot be unmapped stays marked as mapped. */
void cprof_heap_pages_unmap(struct cprof_heap_install *install, struct cprof_remote *remote);

#endif
