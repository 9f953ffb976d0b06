/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_lists.h - glibc's quick lists: threads' caches (tcache) and fastbins, whose blocks look as if
 * they were in use.
 *
 * A thread's cache is a block in its arena like any other. It is told by its size, and believed only if each of its lists
 * begins with a counted block of just that list's size. Each step of a list takes a block out of those counted, so no list
 * is longer than the heap, however it is linked.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_LISTS_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_LISTS_H

#include "attach/heap/baseline/glibc_walk.h"

/* After all areas were walked. Errors: NO_MEMORY. */
struct cprof_error *cprof_glibc_lists_take_out(struct cprof_glibc_walk *walk);

#endif
