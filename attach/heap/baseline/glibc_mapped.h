/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/baseline/glibc_mapped.h - large blocks that glibc's malloc maps one by one (M_MMAP_THRESHOLD).
 *
 * Each begins at a page with the size of the whole mapping and a flag; there is no list of them, so anonymous memory is
 * looked through page by page for such beginnings. So are pieces of the main arena that had to be mapped because brk's memory
 * could not grow: they begin at pages as well.
 */
#ifndef CPROF_ATTACH_HEAP_BASELINE_GLIBC_MAPPED_H
#define CPROF_ATTACH_HEAP_BASELINE_GLIBC_MAPPED_H

#include "attach/heap/baseline/glibc_walk.h"

/* Errors: NO_MEMORY. */
struct cprof_error *cprof_glibc_mapped_find(struct cprof_glibc_walk *walk);

/*
 * Do these two words at a page's beginning, in memory that ends at `end`, begin such a block? Then how long it is, page for
 * page; 0: no.
 */
uint64_t cprof_glibc_mapped_bytes(const uint64_t words[2], uint64_t addr, uint64_t end);

#endif
