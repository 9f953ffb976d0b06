/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach/heap/inject/heap_restore.h - put one changed place in the target's text back.
 *
 * Owns what is whose there: our jump, and what the kernel does to a byte of it on behalf of somebody else's uprobe.
 */
#ifndef CPROF_ATTACH_HEAP_INJECT_HEAP_RESTORE_H
#define CPROF_ATTACH_HEAP_INJECT_HEAP_RESTORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attach/heap/shim/shim_proto.h"
#include "attach/target/ptrace.h"
#include "cprof/error.h"
#include "cprof/maps.h"

/* Does the mapping that the row was made for still lie there? `maps` must be fresh. */
bool cprof_heap_restore_same_place(const struct cprof_maps *maps,
				   const struct cprof_shim_patch *row);

enum cprof_heap_restored {
	CPROF_HEAP_RESTORE_UNCHANGED, /* it never came to be changed */
	CPROF_HEAP_RESTORE_DONE,
	CPROF_HEAP_RESTORE_NOT_OURS, /* somebody else's bytes are there: left as they are */
};

/*
 * Are the row->len bytes `now` our jump? *ret_foreign is the one byte of it that is in other hands: a breakpoint, or the
 * file's byte, which the kernel put back when a uprobe went. row->len: there is none.
 */
bool cprof_heap_restore_owns(const struct cprof_shim_patch *row, const uint8_t *now,
			     size_t *ret_foreign);

/* All threads are stopped, and it is the same place. Writes our bytes only, reads them back and compares. */
struct cprof_error *cprof_heap_restore(const struct cprof_ptrace *trace,
				       const struct cprof_shim_patch *row,
				       enum cprof_heap_restored *ret_what);

#endif
