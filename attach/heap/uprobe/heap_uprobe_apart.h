/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/uprobe/heap_uprobe_apart.h - put breakpoints in and take them out so that no kill of ours can come between.
 *
 * The kernel walks through the memories that map a file for that, and where it finds a SIGKILL pending on the thread that
 * asked it gives up and leaves what it has not come to ("failed to unregister, leaking uprobe" in its log): a breakpoint stays in
 * a function until that is called the next time, or for ever. So we ask by children. One puts them in, with
 * descriptors that are ours as well; the last close is left to one that has nothing to do but end, as a process that has begun
 * to end cannot be killed any more. Whoever kills us meanwhile does not kill these.
 */
#ifndef CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_APART_H
#define CPROF_ATTACH_HEAP_UPROBE_HEAP_UPROBE_APART_H

#include <stddef.h>

/*
 * Run fn(ctx) in a child that shares our descriptors: what it opens is open here. `ctx` must be memory that is shared
 * with children (cprof_heap_uprobe_shared_new). Waits for its end. Where there can be no child, fn runs here.
 */
void cprof_heap_uprobe_apart(void (*fn)(void *ctx), void *ctx);

/* Zeroed memory that children write to for us; NULL: there is none. */
void *cprof_heap_uprobe_shared_new(size_t n);
void cprof_heap_uprobe_shared_free(void *memory, size_t n);

/*
 * Close `n` descriptors; on return what they held is gone. Some milliseconds, more where the kernel waits for other
 * processors. Where there can be no child they are closed here.
 */
void cprof_heap_uprobe_release(const int *fds, size_t n);

#endif
